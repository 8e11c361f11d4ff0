from __future__ import annotations

import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.journal_file import MAX_JPEG_BYTES, PRUNE_ROWS, SCAN_ROWS
from monitor.alerts.journal_rows import Entry
from monitor.errors import ConfigError, RunError
from monitor.witnessed_time import Moment

ALL = ("alert/", "health/")
DAY_S = 86_400.0


def an_entry(
    position: int, topic: str = "alert/cam1/", *, sent_at: float = 1e9, size: int = 100, **more: bytes
) -> Entry:
    return Entry(position, sent_at, "e1", topic, position, bytes(size), more.get("jpeg"))


def positions(journal: Journal, after: int = 0, topics: tuple[str, ...] = ALL) -> list[int]:
    found: list[int] = []
    while True:
        page = journal.page(after, topics, limit=500, max_bytes=10**9)
        found += [entry.position for entry in page.entries]
        after = page.next
        if page.done:
            return found


class FakeClock:
    """A machine that runs, with a wall clock that may be wrong by ``wrong_s`` seconds."""

    def __init__(self) -> None:
        self.boot, self.uptime_s, self.wrong_s = "boot 1", 1000.0, 0.0

    @property
    def unix_s(self) -> float:
        return 1.7e9 + self.uptime_s + self.wrong_s

    def __call__(self) -> Moment:
        return Moment(self.boot, self.uptime_s, self.unix_s)


def run_for(journal: Journal, clock: FakeClock, seconds: float, *, step_s: float = 3600.0) -> None:
    """Let time pass, with the upkeep of a running monitor."""
    ends_s = clock.uptime_s + seconds
    while clock.uptime_s < ends_s:
        clock.uptime_s = min(clock.uptime_s + step_s, ends_s)
        journal.upkeep(clock.uptime_s, clock.unix_s)


def open_now(journal: Journal) -> list[Entry]:
    """The last messages of the open events, as stored with the events."""
    return [stored[0] for _, stored in journal.open_events()]


def keep_up(journal: Journal, unix_s: float = 1e9) -> None:
    """Run the upkeep until nothing is left to do."""
    size = -1
    while size != (size := journal.size_bytes):
        for _ in range(20):
            journal.upkeep(time.monotonic(), unix_s)


def test_what_was_kept_is_there_after_a_restart_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "journal.sqlite3"
    entry = an_entry(7, jpeg=b"\xff\xd8picture")
    with Journal(path) as journal:
        assert journal.append(entry, {"event": entry})
        assert journal.append(an_entry(8, "health/cam1/"), {"event": entry})
    with Journal(path) as journal:
        page = journal.page(0, ALL, limit=10, max_bytes=10**6)
        assert page.entries == (entry, an_entry(8, "health/cam1/"))
        assert (page.next, page.done, journal.last_position) == (8, True, 8)
        assert [(e.position, e.topic, e.body) for e in open_now(journal)] == [(7, "alert/cam1/", entry.body)]


def test_an_event_is_open_until_a_message_says_that_it_is_not(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(an_entry(1), {"a": an_entry(1)})
        journal.append(an_entry(2), {"a": an_entry(1), "b": an_entry(2)})
        journal.append(an_entry(3), {"b": an_entry(2)})
        assert [entry.position for entry in open_now(journal)] == [2]


def test_a_time_is_found_also_if_the_clock_was_set_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for position, sent_at in enumerate([100.0, 110.0, 120.0, 105.0, 115.0, 125.0], start=1):
            journal.append(an_entry(position, sent_at=sent_at), {})
        found = {sent_at: journal.position_at(sent_at) for sent_at in (0.0, 100.0, 101.0, 115.0, 121.0, 126.0)}
    assert found == {0.0: 0, 100.0: 0, 101.0: 1, 115.0: 2, 121.0: 5, 126.0: 6}


def test_a_time_is_found_without_reading_the_messages_before_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for position in range(1, 400):
            journal.append(an_entry(position, sent_at=float(position)), {})
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        journal._file._db.set_progress_handler(step, 10)
        assert journal.position_at(398.5) == 398
    assert steps < 10


def test_pages_are_bounded_by_number_by_bytes_and_by_what_is_looked_at(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for position in range(1, 11):
            journal.append(an_entry(position, size=1000, jpeg=bytes(5000)), {})
        page = journal.page(2, ALL, limit=3, max_bytes=10**6)
        assert ([e.position for e in page.entries], page.next, page.done) == ([3, 4, 5], 5, False)
        page = journal.page(2, ALL, limit=100, max_bytes=13_000)
        assert ([e.position for e in page.entries], page.next, page.done) == ([3, 4], 4, False)
        assert len(journal.page(0, ALL, limit=100, max_bytes=1).entries) == 1
        page = journal.page(0, ALL, limit=100, max_bytes=9_999, pictures=False)
        assert len(page.entries) == 9
        assert page.entries[0].jpeg is None
        for position in range(11, 11 + SCAN_ROWS):
            journal.append(an_entry(position), {})
        page = journal.page(0, ["alert/cam2/"], limit=100, max_bytes=10**6)
        assert (page.entries, page.next, page.done) == ((), SCAN_ROWS, False)


def test_a_topic_that_only_begins_alike_does_not_match(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for position, topic in enumerate(("alert/cam1/", "alert/cam10/", "health/cam1/"), start=1):
            journal.append(an_entry(position, topic), {})
        assert positions(journal, topics=("alert/cam1/",)) == [1]
        assert positions(journal, topics=("alert/", "health/")) == [1, 2, 3]


def test_a_time_is_found_also_where_the_clock_was_set_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for position, sent_at in ((1, 100.0), (2, 200.0), (3, 130.0), (4, 250.0)):
            journal.append(an_entry(position, sent_at=sent_at), {})
        assert [journal.position_at(t) for t in (0.0, 101.0, 201.0, 251.0)] == [0, 1, 3, 4]


def test_a_picture_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(an_entry(1, jpeg=bytes(MAX_JPEG_BYTES + 1)), {})
        journal.append(an_entry(2, jpeg=bytes(MAX_JPEG_BYTES)), {})
        kept = journal.page(0, ALL, limit=10, max_bytes=10**7).entries
        assert [len(entry.jpeg or b"") for entry in kept] == [0, MAX_JPEG_BYTES]


def test_messages_that_are_too_old_are_removed_and_that_is_remembered(tmp_path: Path) -> None:
    clock = FakeClock()
    with Journal(tmp_path / "j", days=2, clock=clock) as journal:
        for position in range(1, 41):
            journal.append(an_entry(position, sent_at=clock.unix_s), {})
            run_for(journal, clock, DAY_S / 20)
        run_for(journal, clock, DAY_S)
        assert positions(journal) == list(range(21, 41))
        assert journal.kept_after == 20
    with Journal(tmp_path / "j", days=2, clock=clock) as journal:
        assert journal.kept_after == 20


def test_the_file_stays_within_its_size_and_really_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, max_mb=2) as journal:
        for position in range(1, 2001):
            journal.append(an_entry(position, size=2000, jpeg=bytes(20_000 if position % 10 == 0 else 0)), {})
            journal.upkeep(time.monotonic(), 1e9)
            assert journal.size_bytes < 3e6
        kept = positions(journal)
        assert kept[-1] == 2000
        assert kept == list(range(kept[0], 2001))
        assert journal.kept_after == kept[0] - 1
    with Journal(path, max_mb=1) as journal:
        keep_up(journal)
        assert journal.size_bytes <= 1e6
    assert path.stat().st_size <= 1e6


def test_removing_takes_small_steps(tmp_path: Path) -> None:
    clock = FakeClock()
    with Journal(tmp_path / "j", days=1, clock=clock) as journal:
        for position in range(1, 20_001):
            journal.append(an_entry(position, sent_at=0.0), {})
        clock.uptime_s += 10 * DAY_S
        began = time.monotonic()
        journal.upkeep(0.0, clock.unix_s)
        assert time.monotonic() - began < 0.5  # the budget is 0.01 s; the rest is for a busy machine
        assert PRUNE_ROWS // 50 <= journal.kept_after < 20_000


def kept_through(tmp_path: Path, clock: FakeClock, *, days: float = 30.0) -> list[int]:
    """Restart, and run for a minute. The messages that are left."""
    with Journal(tmp_path / "j", days=days, clock=clock) as journal:
        run_for(journal, clock, 60.0, step_s=5.0)
        return positions(journal)


@pytest.mark.parametrize("wrong_days", [3650, 45, -400])
def test_a_wrong_clock_for_a_moment_removes_nothing(tmp_path: Path, wrong_days: int) -> None:
    clock = FakeClock()
    with Journal(tmp_path / "j", clock=clock) as journal:
        for position in range(1, 4):
            journal.append(an_entry(position, sent_at=clock.unix_s), {})
            run_for(journal, clock, 60.0, step_s=5.0)
        clock.wrong_s = wrong_days * DAY_S
        journal.append(an_entry(4, sent_at=clock.unix_s), {})
        run_for(journal, clock, 5.0, step_s=0.1)
        clock.wrong_s = 0.0
        run_for(journal, clock, 60.0, step_s=5.0)
        assert positions(journal) == [1, 2, 3, 4]
    assert kept_through(tmp_path, clock) == [1, 2, 3, 4]


@pytest.mark.parametrize("boot", ["boot 1", "boot 2"])
@pytest.mark.parametrize("wrong_days", [45, -400])
def test_a_restart_with_a_wrong_clock_removes_nothing(tmp_path: Path, wrong_days: int, boot: str) -> None:
    clock = FakeClock()
    with Journal(tmp_path / "j", clock=clock) as journal:
        journal.append(an_entry(1, sent_at=clock.unix_s), {})
    clock.boot, clock.wrong_s = boot, wrong_days * DAY_S
    with Journal(tmp_path / "j", clock=clock) as journal:
        journal.append(an_entry(2, sent_at=clock.unix_s), {})
    assert kept_through(tmp_path, clock) == [1, 2]
    clock.wrong_s = 0.0
    assert kept_through(tmp_path, clock) == [1, 2]


def test_messages_with_impossible_times_go_when_a_later_one_is_too_old(tmp_path: Path) -> None:
    clock = FakeClock()
    with Journal(tmp_path / "j", days=2, clock=clock) as journal:
        for position, sent_at in ((1, 1e18), (2, float("inf")), (3, clock.unix_s)):
            journal.append(an_entry(position, sent_at=sent_at), {})
        run_for(journal, clock, 1.9 * DAY_S)
        assert positions(journal) == [1, 2, 3]
        run_for(journal, clock, 0.2 * DAY_S)
        assert positions(journal) == []


def test_a_journal_of_version_0_1_0_ages_from_now_on(tmp_path: Path) -> None:
    clock = FakeClock()
    with Journal(tmp_path / "j", days=2, clock=clock) as journal:
        journal.append(an_entry(1, sent_at=clock.unix_s - 40 * DAY_S), {})
    with closing(sqlite3.connect(tmp_path / "j")) as db:
        db.execute("DROP TABLE witnessed_time")
        db.commit()
    with Journal(tmp_path / "j", days=2, clock=clock) as journal:
        run_for(journal, clock, 1.9 * DAY_S)
        assert positions(journal) == [1]
        run_for(journal, clock, 0.2 * DAY_S)
        assert positions(journal) == []


def test_a_new_journal_begins_after_every_earlier_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "first") as first:
        begun = first.last_position
    assert abs(begun - time.time() * 1000) < 60_000
    with Journal(tmp_path / "second") as second:
        assert second.last_position >= begun
        assert second.kept_after == second.last_position


# Failures


def test_a_journal_in_use_is_one_sentence(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as first:
        with (
            pytest.raises(
                RunError, match=r"is in use by another monitor: stop that monitor, give this one its own path"
            ),
            Journal(tmp_path / "j"),
        ):
            pass
        assert first.append(an_entry(1), {})
    with Journal(tmp_path / "j") as journal:
        assert positions(journal) == [1]


def test_a_damaged_journal_is_kept_aside_and_a_new_one_begun(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path) as journal:
        for position in range(1, 500):
            journal.append(an_entry(position), {})
    data = path.read_bytes()
    content = data[:50] + bytes(4096 * 3) + data[50 + 4096 * 3 :]
    path.write_bytes(content)
    with Journal(path) as journal:
        assert journal.append(an_entry(journal.last_position + 1), {})
        assert len(positions(journal)) == 1
    asides = list(tmp_path.glob("journal.sqlite3.damaged-*"))
    assert [aside.read_bytes() for aside in asides] == [content]
    assert "is damaged (" in caplog.text
    assert f"kept as {asides[0]}" in caplog.text


def test_damage_that_shows_only_later_costs_no_alert(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path) as journal:
        for position in range(1, 3000):
            journal.append(an_entry(position), {})
    size = path.stat().st_size
    with path.open("r+b") as file:  # the middle of the table; its root and its end stay intact
        file.seek(size // 4096 // 2 * 4096)
        file.write(b"\xee" * 4096 * 8)
    with Journal(path) as journal:
        with pytest.raises(JournalError, match="was damaged"):
            positions(journal)
        entry = an_entry(3000)
        assert journal.append(entry, {"event": entry})
        assert journal.kept_after == 2999
        assert positions(journal, after=2999) == [3000]
        assert len(journal.open_events()) == 1
    assert "is damaged" in caplog.text


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """In this process, writing more than this many bytes into a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_counted_and_over_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(an_entry(1), {"a": an_entry(1)})
        with full_disk(200_000):
            kept = [journal.append(an_entry(n, size=5000), {"b": an_entry(n)}) for n in range(2, 102)]
            journal.upkeep(time.monotonic() + 10, 1e9)
        assert kept[0]
        assert not kept[-1]
        assert journal.unjournalled == kept.count(False)
        assert caplog.text.count("cannot be written") == 1
        assert journal.append(an_entry(102), {"c": an_entry(102)})
        assert "can be written again" in caplog.text
        assert positions(journal) == [1, *(n for n, good in enumerate(kept, start=2) if good), 102]
        assert [entry.position for entry in open_now(journal)] == [102]


def test_a_journal_that_lost_no_message_does_not_say_that_it_lacks_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal._complain(sqlite3.OperationalError("database or disk is full"))  # as when it tidies up
        assert journal.append(an_entry(1), {})
    assert "can be written again" in caplog.text
    assert "lacks" not in caplog.text


def test_a_path_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "file" / "j", Path("/proc/none/j"), tmp_path / "pipe", Path("/dev/zero")):
        with (
            pytest.raises(ConfigError, match=r"cannot use the journal .*choose another path.*--no-journal"),
            Journal(path),
        ):
            pass


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="belongs to another program"), Journal(path):
        pass
    assert path.read_bytes() == before


KILLED = """
import os, signal, sys
from pathlib import Path
from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import Entry
with Journal(Path(sys.argv[1])) as journal:
    for position in range(1, 301):
        journal.append(Entry(position, 1e9, "e1", "alert/a/", position, b"x"), {})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_nothing_and_leaves_nothing_locked(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "j"], check=False, timeout=60)
    with Journal(tmp_path / "j") as journal:
        assert positions(journal) == list(range(1, 301))


@pytest.mark.parametrize("fsync", ["second", "always"])
def test_either_way_of_flushing_keeps_messages(tmp_path: Path, fsync: str, caplog: pytest.LogCaptureFixture) -> None:
    with Journal(tmp_path / "j", fsync=fsync) as journal, caplog.at_level(logging.WARNING):  # type: ignore[arg-type]
        for position in range(1, 4):
            journal.append(an_entry(position), {})
            journal.upkeep(10.0 * position, 1e9)
        assert positions(journal) == [1, 2, 3]
    assert caplog.text == ""


def test_damage_that_python_cannot_even_name_is_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path) as journal:
        journal.append(an_entry(journal.last_position + 1), {})
    content = path.read_bytes()
    assert content.count(b"CREATE TABLE messages") == 1
    path.write_bytes(content.replace(b"CREATE TABLE messages", b"CREATE TABLE \xff\xfe\xfd sages"))
    with Journal(path) as journal:
        assert journal.append(an_entry(journal.last_position + 1), {})
    assert "is damaged" in caplog.text
    assert len(list(tmp_path.glob("journal.sqlite3.damaged-*"))) == 1


@pytest.mark.parametrize("gone", ["the file", "the folder"])
def test_a_journal_that_is_removed_during_a_run_begins_anew_and_says_so(
    gone: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state/journal.sqlite3"
    with Journal(path) as journal:
        journal.append(an_entry(journal.last_position + 1), {})
        if gone == "the folder":
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        keep_up(journal)
        assert "was removed or replaced: a new one is started" in caplog.text
        position = journal.last_position + 1
        assert journal.append(an_entry(position), {})
    with Journal(path) as journal:
        assert positions(journal) == [position]


def test_a_file_that_takes_the_journal_s_place_stays_and_messages_count_as_not_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path) as journal:
        (tmp_path / "film").write_text("a film")
        (tmp_path / "film").rename(path)
        journal.upkeep(time.monotonic(), 1e9)
        assert not journal.append(an_entry(journal.last_position + 1), {})
        assert journal.unjournalled == 1
    assert path.read_text() == "a film"
    assert "cannot be written" in caplog.text
