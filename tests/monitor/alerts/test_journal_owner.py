"""The journal neither changes, renames nor replaces a file that is not its own."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.alerts import journal_file
from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.journal_rows import Entry
from monitor.alerts.publisher import Publisher
from monitor.errors import ConfigError
from tests.helpers.publishing import ANY, publish_alert

MAGIC = b"SQLite format 3\0"
FILM = b"\0\0\0\x20ftypisom" + bytes(range(256)) * 40


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(path: Path) -> None:
    before = everything(path.parent)
    with pytest.raises(ConfigError, match=r"choose another path.*the file was not changed"), Journal(path):
        pass
    assert everything(path.parent) == before


@pytest.mark.parametrize(
    "content",
    [FILM, b"x", b"root:x:0:0:root\n", MAGIC, MAGIC + b"\xff" * 500, MAGIC + bytes(5000), bytes(5000)],
    ids=["film", "one byte", "system file", "magic alone", "magic and noise", "magic and zeros", "zeros"],
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    refused(path)


@settings(deadline=None)  # it waits for the disk
@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"", MAGIC, FILM]), st.integers(0, 5000))
def test_no_file_without_the_mark_is_ever_changed(tail: bytes, head: bytes, padding: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        path.write_bytes(head + bytes(padding) + tail)
        refused(path)


def test_the_source_and_a_dump_of_a_journal_are_no_journals(tmp_path: Path) -> None:
    shutil.copy(journal_file.__file__, tmp_path / "code")
    refused(tmp_path / "code")
    with Journal(tmp_path / "dumped") as journal:
        journal.append(Entry(1, 1e9, "e", "alert/a/", 1, b"{}"), {})
    with closing(sqlite3.connect(tmp_path / "dumped")) as db:
        (tmp_path / "dump.sql").write_text("\n".join(db.iterdump()))
    refused(tmp_path / "dump.sql")


def test_a_database_of_another_program_is_not_even_opened_by_sqlite(tmp_path: Path) -> None:
    """SQLite would move its write-ahead log into the database, and delete the log."""
    path = tmp_path / "bookmarks"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.commit()
        copies = tmp_path / "copies"
        copies.mkdir()
        for name in ("bookmarks", "bookmarks-wal"):
            shutil.copy(tmp_path / name, copies / name)
    refused(copies / "bookmarks")


def test_an_emptied_database_with_the_marks_of_another_program_is_refused(tmp_path: Path) -> None:
    for mark in ("application_id", "user_version"):
        path = tmp_path / mark / "x"
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA {mark} = 7")
        refused(path)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
@pytest.mark.parametrize("empty", [True, False], ids=["empty file", "no file"])
def test_a_file_in_the_place_of_sqlite_s_own_files_is_not_deleted(tmp_path: Path, suffix: str, empty: bool) -> None:
    path = tmp_path / "letter"
    if empty:
        path.touch()
    Path(f"{path}{suffix}").write_text("Dear all")
    refused(path)


def test_an_empty_file_and_an_empty_database_become_a_journal(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with closing(sqlite3.connect(tmp_path / "database")) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
    (tmp_path / "link").symlink_to("database")
    for name in ("empty", "link"):
        for _ in range(2):
            with Journal(tmp_path / name) as journal:
                assert journal.append(Entry(journal.last_position + 1, 1e9, "e", "alert/a/", 1, b"{}"), {})


KILLED = """
import os, signal, sqlite3, sys
path, old = sys.argv[1], sys.argv[2] == "old"
if old:  # the order of version 0.1.0: the mark is only in the write-ahead log
    from monitor.alerts.journal_owner import APPLICATION_ID
    from monitor.alerts.journal_rows import TABLES
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        db.execute(table)
    db.execute("INSERT INTO kept VALUES (5)")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.execute("INSERT INTO messages VALUES (6, 1e9, 'e', 'alert/a/', 1, x'00', NULL)")
    db.execute("COMMIT")
else:
    from pathlib import Path
    from monitor.alerts.journal import Journal
    from monitor.alerts.journal_rows import Entry
    journal = Journal(Path(path)).__enter__()
    journal.append(Entry(6, 1e9, "e", "alert/a/", 1, b"x"), {})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_journal_whose_monitor_was_killed_at_once_is_known_again(tmp_path: Path, version: str) -> None:
    path = tmp_path / "j"
    subprocess.run([sys.executable, "-c", KILLED, path, version], check=False, timeout=60)
    with Journal(path) as journal:
        assert journal.last_position == 6
    assert not list(tmp_path.glob("*.damaged*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of a monitor that was killed during an event."""
    path = tmp_path_factory.mktemp("made") / "j"
    with Journal(path) as journal, Publisher(ANY, ANY, node="lab", journal=journal) as publisher:
        for _ in range(30):
            publish_alert(publisher)
    return path.read_bytes()


def starts(path: Path) -> bool:
    """Start a monitor with a damaged journal. True if it is still used, False if it was set aside and a new one begun.

    Nothing else may happen to it: no end of the start, and no message that is lost without a copy.
    """
    before = path.read_bytes()
    with Journal(path) as journal:
        last = journal.last_position
        assert journal.append(Entry(last + 1, 1e9, "e", "alert/a/", 1, b"{}"), {})
        found = journal.page(0, ["alert/"], limit=500, max_bytes=10**9)
    aside = list(path.parent.glob("*.damaged-*"))
    if not aside:
        assert len(found.entries) + found.unreadable >= 31
        return True
    assert [file.read_bytes() for file in aside if file.suffix != "-wal"] == [before]
    return False


@pytest.mark.parametrize("value", [0x00, 0xFF, 0x7F, 0x02])
def test_a_damaged_byte_of_the_header_never_ends_the_start(tmp_path: Path, made: bytes, value: int) -> None:
    for at in range(100):
        if made[at] == value or (at == 63 and value > 1):
            continue  # the last one is the version of a newer monitor
        path = tmp_path / str(at) / "j"
        path.parent.mkdir()
        path.write_bytes(made[:at] + bytes([value]) + made[at + 1 :])
        starts(path)


@pytest.mark.parametrize(
    ("begin", "end"), [(0, 16), (0, 100), (16, 72), (60, 80), (100, 4096), (0, 4096), (40, 3000), (3000, 9000)]
)
@pytest.mark.parametrize("filled", [bytes(1), bytes([255]), bytes([0xA7, 1, 0x33])], ids=["zeros", "ones", "noise"])
def test_a_damaged_first_page_is_set_aside(
    tmp_path: Path, made: bytes, begin: int, end: int, filled: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j"
    path.write_bytes(made[:begin] + (filled * 9000)[: end - begin] + made[end:])
    assert not starts(path)
    assert "is damaged" in caplog.text


@settings(deadline=None, max_examples=30)  # it waits for the disk
@given(st.integers(0, 4095), st.binary(min_size=1, max_size=200))
@example(3517, b"\t")  # the name of a column is split
def test_whatever_stands_in_the_first_page_the_monitor_starts(made: bytes, at: int, noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        content = made[:at] + noise + made[at + len(noise) :]
        path.write_bytes(content)
        if at <= 63 < at + len(noise) and content[60:63] == bytes(3) and content[68:72] == made[68:72]:
            return  # the version of a newer monitor
        with Journal(path) as journal:
            journal.append(Entry(journal.last_position + 1, 1e9, "e", "alert/a/", 1, b"{}"), {})


def test_archives_and_images_that_hold_a_journal_are_no_journals(tmp_path: Path, made: bytes) -> None:
    for number, before in enumerate((bytes(512), bytes([255]) * 512, bytes([255]) * 4096, bytes(4096), FILM, b"x")):
        path = tmp_path / str(number) / "image"
        path.parent.mkdir()
        path.write_bytes(before + made + bytes(512))
        refused(path)


def test_a_damaged_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE messages (position INTEGER PRIMARY KEY, sent_at, epoch, topic, seq, body, jpeg)")
        db.executemany("INSERT INTO messages VALUES (?, 1.0, 'e', 'alert/a/', 1, ?, NULL)", [(1, b"hi"), (2, b"you")])
    whole = path.read_bytes()
    for end in (16, 100, 4096):
        path.write_bytes(b"\xee" * end + whole[end:])
        refused(path)


def test_a_file_put_in_the_journal_s_place_during_the_run_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        for position in range(1, 2000):
            journal.append(Entry(position, 1e9, "e", "alert/a/", position, bytes(100)), {})
    with path.open("r+b") as file:  # the middle of the table
        file.seek(path.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xee" * 4096 * 8)
    with Journal(path) as journal:
        path.rename(tmp_path / "moved")
        path.write_bytes(FILM)
        with pytest.raises(JournalError):
            journal.page(0, ["alert/"], limit=5000, max_bytes=10**9)
        for position in range(2000, 2003):
            assert not journal.append(Entry(position, 1e9, "e", "alert/a/", position, bytes(100)), {})
    assert path.read_bytes() == FILM
    assert "cannot be written" in caplog.text
