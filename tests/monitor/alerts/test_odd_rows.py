# ruff: noqa: S608 - the statements are those of this file
"""Rows of the journal that no monitor has written: each stands alone."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import tracemalloc
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.alerts.history import NAMED_EVENTS, History, HistoryRequest, decode_answer
from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import entry_of
from monitor.alerts.messages import encode
from monitor.alerts.publisher import Publisher
from monitor.states import AlertEvent, Phase
from tests.helpers.publishing import ANY, publish_alert

FEW = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 15


def written(folder: Path, count: int = 3) -> Path:
    """A journal of a monitor that was killed during an event."""
    path = folder / "journal.sqlite3"
    with Journal(path) as journal, Publisher(ANY, ANY, node="lab", journal=journal) as publisher:
        for number in range(1, count + 1):
            event = AlertEvent(number, Phase.END, 10.0, 12.5, score=1.25, peak_score=1.5, peak_s=10.5, notify=True)
            publish_alert(publisher, event=event)
        publish_alert(publisher)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as journal, journal:
        for statement in statements:
            journal.execute(statement)


def replayed(journal: Journal) -> Any:
    """Everything that a client gets from the beginning."""
    history = History("lab", "e9", journal)
    payload = encode(HistoryRequest(request="replay", after=0))
    return decode_answer(history.answer(payload, time.time()))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", "x'00ff'"),
        ("body", "'{}'"),
        ("body", "replace(body, '\"schema\"', '\"scheme\"')"),
        ("body", "12"),
        ("topic", "x'ff'"),
        ("topic", "7"),
        ("topic", "'alert/other/'"),
        ("sent_at", "'yesterday'"),
        ("seq", "'many'"),
        ("epoch", "x'00'"),
        ("body", "CAST(x'ff7b' AS TEXT)"),
        ("topic", "CAST(x'ff' AS TEXT)"),
    ],
)
def test_a_message_that_cannot_be_read_is_counted_and_hides_no_other(tmp_path: Path, column: str, value: str) -> None:
    path = written(tmp_path)
    second = "(SELECT position FROM messages ORDER BY position LIMIT 1 OFFSET 1)"
    change(path, f"UPDATE messages SET {column} = {value} WHERE position = {second}")
    with Journal(path) as journal:
        answer = replayed(journal)
        journal.upkeep(time.monotonic() + 10, time.time())
    seqs = [decoded.message.seq for decoded in answer.messages]
    assert seqs == [1, 3, 4]
    assert len(answer.malformed) + answer.head.unreadable == 1
    assert answer.head.done


def test_text_in_place_of_bytes_and_a_picture_that_is_none_are_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    change(path, "UPDATE messages SET body = CAST(body AS TEXT), jpeg = 5")
    with Journal(path) as journal:
        answer = replayed(journal)
    assert [decoded.message.seq for decoded in answer.messages] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "position", [2**63 - 1, 2**62, 2**60 + 1, 2**60, 2**60 - 1, 2**53, 2**46, 2**44, -1, 0, -(2**63)]
)
def test_a_position_that_cannot_be_stops_neither_alerts_nor_replays(tmp_path: Path, position: int) -> None:
    path = written(tmp_path)
    last = "(SELECT max(position) FROM messages)"
    change(path, f"INSERT INTO messages SELECT {position}, sent_at, epoch, topic, seq, body, jpeg FROM messages "
                 f"WHERE position = {last}")  # fmt: skip
    with Journal(path) as journal, Publisher(ANY, ANY, ANY, journal=journal) as publisher:
        sent = publish_alert(publisher)
        publisher.tick(time.monotonic())
        assert journal.unjournalled == 0
        answer = replayed(journal)
        assert 0 <= journal.position_at(0.0) <= (sent.position or 0)
    positions = [decoded.message.position for decoded in answer.messages]
    assert positions == sorted(positions)
    assert positions[-1] == sent.position
    assert answer.head.next == sent.position
    with Journal(path) as journal, Publisher(ANY, ANY, ANY, journal=journal) as publisher:
        again = publish_alert(publisher)
        assert journal.unjournalled == 0
        assert (sent.position or 0) < (again.position or 0) < 2**45
        later = [decoded.message.position for decoded in replayed(journal).messages]
        assert later[: len(positions)] == positions
        assert later[-1] == again.position


@pytest.mark.parametrize("position", [2**63 - 1, 2**60, 2**46])
def test_an_odd_position_that_is_removed_does_not_become_the_beginning(tmp_path: Path, position: int) -> None:
    path = written(tmp_path)
    change(path, f"UPDATE messages SET position = {position} WHERE position = (SELECT max(position) FROM messages)")
    with Journal(path, max_mb=0.0) as journal:
        for second in range(3):
            journal.upkeep(time.monotonic() + 10 * second, time.time())
        assert not replayed(journal).messages
        with Publisher(ANY, ANY, ANY, journal=journal) as publisher:
            sent = publish_alert(publisher)
            assert replayed(journal).messages[-1].message.position == sent.position


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM kept",
        "UPDATE kept SET after = 'never'",
        "UPDATE kept SET after = 9223372036854775807",
        "UPDATE kept SET after = -7",
        "UPDATE kept SET after = 1152921504606846976",
        "UPDATE kept SET after = 1152921504606846975",
        "UPDATE kept SET after = 1 + (SELECT max(position) FROM messages)",
        "INSERT INTO kept VALUES (1)",
        "UPDATE kept SET after = x'00'",
        "DROP TABLE kept",
        "DROP INDEX by_time",
        "DROP TABLE open_events",
    ],
)
def test_a_lost_beginning_is_written_anew(tmp_path: Path, statement: str) -> None:
    path = written(tmp_path)
    change(path, statement)
    for _ in range(2):
        with Journal(path) as journal:
            assert [decoded.message.seq for decoded in replayed(journal).messages] == [1, 2, 3, 4]
            assert replayed(journal).head.after == journal.kept_after > 10**9


def test_without_messages_a_lost_beginning_is_now(tmp_path: Path) -> None:
    path = written(tmp_path)
    change(path, "DELETE FROM messages", "DELETE FROM kept", "DELETE FROM open_events")
    with Journal(path) as journal, Publisher(ANY, ANY, ANY, journal=journal) as publisher:
        assert journal.kept_after > 10**9
        publish_alert(publisher)
        assert len(replayed(journal).messages) == 1


BAD_BODIES = ("x'00'", "'{}'", "5", "(SELECT body FROM messages LIMIT 1)", "CAST(x'ff' AS TEXT)")


def interrupted(path: Path) -> list[str]:
    with Journal(path) as journal, Publisher(ANY, ANY, node="lab", journal=journal) as publisher:
        messages = [decoded.message for decoded in replayed(journal).messages]
        return [message.phase for message in messages if message.epoch == publisher.epoch]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_an_open_event_that_cannot_be_read_is_read_from_the_messages(tmp_path: Path, body: str) -> None:
    path = written(tmp_path)
    change(path, f"UPDATE open_events SET body = {body}")
    assert interrupted(path) == ["end"]
    assert interrupted(path) == []


@pytest.mark.parametrize(
    "statement",
    [
        *(f"UPDATE open_events SET body = {body}, position = 1" for body in BAD_BODIES),
        "UPDATE open_events SET position = 'last', topic = x'ff'",
        "UPDATE open_events SET position = 9223372036854775807, topic = 'health/cam1/'",
        "UPDATE open_events SET event_id = NULL, body = '', position = 1",
    ],
)
def test_an_open_event_that_is_lost_is_said_once_and_the_monitor_starts(
    tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path)
    change(path, statement)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with Journal(path) as journal, Publisher(ANY, ANY, journal=journal) as publisher:
                publish_alert(publisher, event=AlertEvent(1, Phase.END, 1.0, 2.0, 1.0, 1.0, 1.0, notify=True))
    assert caplog.text.count("cannot be read: it gets no end") == 1


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_thousands_of_open_events_are_counted_in_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path)
    made = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO open_events"
    change(path, f"{made} SELECT 'odd-' || i, i, 'alert/cam1/', x'00' FROM n")
    with caplog.at_level(logging.WARNING):
        assert interrupted(path) == ["end"]
    assert len(warnings_of(caplog)) == NAMED_EVENTS + 2
    assert f"the journal holds {100_000 - NAMED_EVENTS} events more that were open" in caplog.text
    with closing(sqlite3.connect(path)) as journal:
        assert journal.execute("SELECT count(*) FROM open_events").fetchone() == (0,)


def test_of_several_open_events_of_one_camera_the_last_gets_an_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path)
    made = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO open_events"
    change(path, f"{made} SELECT 'e' || i, i, topic, replace(body, '-1\",', '-' || i || '\",') FROM n, open_events")
    with caplog.at_level(logging.WARNING):
        assert interrupted(path) == ["end"]
    assert "3000 events more" in caplog.text


def test_many_events_that_end_now_are_named_in_few_sentences(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path) as journal, Publisher(ANY, ANY, node="lab", journal=journal) as publisher:
        for number in range(40):
            publish_alert(publisher, camera=f"cam{number}")
    with caplog.at_level(logging.WARNING):
        assert interrupted(path) == ["end"] * 40
    assert len(warnings_of(caplog)) == NAMED_EVENTS + 1
    assert f"{40 - NAMED_EVENTS} events more were open" in caplog.text


values = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text("a/7\0é", max_size=8)
    | st.binary(max_size=8)
)
columns = st.sampled_from(["sent_at", "epoch", "topic", "seq", "body", "jpeg"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("made")).read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=FEW)
@given(changes=st.lists(st.tuples(columns, values), max_size=4), kept=values, opened=values)
def test_whatever_stands_in_the_rows_the_monitor_runs_and_answers(
    tmp_path: Path, made: bytes, changes: list[tuple[str, object]], kept: object, opened: object
) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(made)
    with closing(sqlite3.connect(path)) as rows, rows:
        in_kept = [("kept SET after", kept), ("open_events SET position", opened), ("open_events SET body", opened)]
        for column, value in [*((f"messages SET {column}", value) for column, value in changes), *in_kept]:
            with suppress(sqlite3.IntegrityError):  # SQLite itself refuses this value
                rows.execute(f"UPDATE {column} = ?", (value,))
    with Journal(path) as journal:
        history = History("lab", "e9", journal)
        history.interrupted()
        answer = decode_answer(history.answer(encode(HistoryRequest(request="replay", after=0)), time.time()))
        assert len(answer.messages) + len(answer.malformed) + answer.head.unreadable <= 4
        journal.upkeep(time.monotonic() + 10, time.time())


def test_a_huge_row_is_never_read_and_hides_no_other(tmp_path: Path) -> None:
    path = written(tmp_path)
    second = "(SELECT position FROM messages ORDER BY position LIMIT 1 OFFSET 1)"
    third = "(SELECT position FROM messages ORDER BY position LIMIT 1 OFFSET 2)"
    change(
        path,
        f"UPDATE messages SET body = zeroblob(50000000) WHERE position = {second}",
        f"UPDATE messages SET jpeg = zeroblob(50000000) WHERE position = {third}",
    )
    with Journal(path) as journal:
        tracemalloc.start()
        answer = replayed(journal)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(answer.messages) == 3
    assert answer.head.unreadable == 1
    assert most < 20e6


def test_a_row_that_its_position_does_not_find_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    with Journal(path) as journal:
        monkeypatch.setattr(journal._file, "_entry", lambda *_, **__: entry_of(None))
        assert replayed(journal).head.unreadable == 4
