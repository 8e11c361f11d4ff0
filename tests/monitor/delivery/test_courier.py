"""Every message reaches a receiver once per key, whatever fails, and in order."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import Entry
from monitor.alerts.messages import encode
from monitor.delivery import courier as couriers
from monitor.delivery.courier import Clock, Courier
from monitor.delivery.journal_feed import JournalFeed
from monitor.delivery.ledger import Ledger, ledger_path
from monitor.delivery.notice import DeliveryError
from monitor.states import Phase
from monitor.testing.receivers import ScriptedReceiver
from monitor.witnessed_time import Moment
from tests.helpers.publishing import an_alert

START_S = 1.8e9


class Place:
    """A journal, its ledger and one receiver, on a clock that the test moves."""

    def __init__(self, folder: Path, receiver: ScriptedReceiver) -> None:
        self.now = 0.0
        self.folder = folder
        self.receiver = receiver
        self.written = 0
        self.stack = ExitStack()
        self.start()

    def start(self) -> None:
        """Start, or start again, as after a kill: what is not on the disk is lost."""
        self.stack.close()
        moment = lambda: Moment("boot", self.now, START_S + self.now)  # noqa: E731
        self.journal = self.stack.enter_context(Journal(self.folder / "journal.sqlite3", clock=moment))
        self.ledger = self.stack.enter_context(Ledger(ledger_path(self.journal.path)))
        self.feed = JournalFeed()
        clock = Clock(lambda: self.now, lambda: START_S + self.now)
        self.courier = Courier(
            self.receiver, self.feed, self.ledger, self.journal.last_position, clock=clock, chance=lambda: 0.0
        )

    def store(self, phase: Phase = Phase.START, **changes: object) -> str:
        """Store a message of a new event; returns the key of its notice."""
        self.written += 1
        event_id = str(changes.pop("event_id", f"event-{self.written}"))
        position = self.journal.last_position + 1
        message = an_alert(self.written, event_id=event_id, phase=phase, position=position, sent_at=START_S + self.now)
        message = message.model_copy(update=changes)
        jpeg = b"\xff\xd8picture" if phase is not Phase.UPDATE else None
        entry = Entry(position, message.sent_at, "e1", message.topic, self.written, encode(message), jpeg)
        assert self.journal.append(entry, {})
        return f"{event_id}:{phase}"

    def settle(self) -> float:
        """Step until the courier waits; returns for how many seconds it would."""
        for _ in range(1_000_000):
            wait_s = self.courier.step()
            if wait_s > 0:
                before = self.feed.caught_up(self.receiver.name, self.journal)
                self.feed.serve(self.journal)
                if self.courier.failing or before:
                    return wait_s
        raise AssertionError("the courier never waits")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, ScriptedReceiver())
    yield made
    made.stack.close()


def test_messages_are_delivered_in_order_with_their_pictures(place: Place) -> None:
    keys = [place.store() for _ in range(5)]
    assert place.settle() == math.inf
    assert [notice.key for notice in place.receiver.accepted] == keys
    assert {notice.jpeg for notice in place.receiver.accepted} == {b"\xff\xd8picture"}
    assert place.courier.figures.delivered == 5


def test_a_new_receiver_begins_with_the_next_message(tmp_path: Path) -> None:
    first = Place(tmp_path, ScriptedReceiver("webhook.old"))
    first.store()
    first.receiver = ScriptedReceiver("webhook.new")
    first.start()
    key = first.store()
    first.settle()
    assert first.receiver.keys == [key]
    first.stack.close()


def test_a_restart_continues_after_the_last_delivery(place: Place) -> None:
    first = [place.store() for _ in range(3)]
    place.settle()
    place.start()
    second = [place.store() for _ in range(3)]
    place.start()  # killed before any of them was delivered
    place.settle()
    assert place.receiver.keys == first + second


def test_a_kill_between_acceptance_and_commit_repeats_the_key_and_nothing_else(place: Place) -> None:
    keys = [place.store() for _ in range(4)]
    place.receiver.killed_after = 2
    with pytest.raises(KeyboardInterrupt):
        place.settle()
    place.start()
    place.settle()
    assert place.receiver.keys == [keys[0], keys[1], keys[1], keys[2], keys[3]]


def test_the_wait_after_failures_doubles_up_to_a_minute_and_jitters(place: Place) -> None:
    place.receiver.failing = True
    key = place.store()
    waits = []
    for _ in range(9):
        waits.append(place.settle())
        place.now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    place.courier._chance = lambda: 1.0
    assert place.settle() == 30.0
    place.receiver.failing = False
    place.now += 30.0
    place.settle()
    assert place.receiver.keys == [key]
    assert place.receiver.late == {key}
    assert place.courier.figures.failed == 10
    assert not place.courier.failing


def test_a_receiver_may_ask_for_a_longer_wait_but_not_for_an_endless_one(place: Place) -> None:
    place.store()
    place.receiver.error = DeliveryError("busy", wait_s=120.0)
    assert place.settle() == 120.0
    place.now += 120.0
    place.receiver.error = DeliveryError("busy", wait_s=1e9)
    assert place.settle() == couriers.LONGEST_WAIT_S


def test_what_a_receiver_refuses_three_times_is_left_out(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = place.store(), place.store()
    place.receiver.refuses = {bad}
    while not place.receiver.accepted:
        place.now += place.settle()
    assert place.receiver.keys == [good]
    assert place.courier.figures.refused == 1
    assert f"{bad} is left out" in caplog.text


def test_what_is_older_than_the_limit_is_given_up(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.receiver.keep_s = 100.0
    place.receiver.failing = True
    for _ in range(3):
        place.store()
    place.settle()
    place.now += 101.0
    place.receiver.failing = False
    key = place.store()
    place.settle()
    assert place.receiver.keys == [key]
    assert place.courier.figures.expired == 3
    assert caplog.text.count("given up") == 1


def test_an_unexpected_error_of_a_library_is_a_failed_attempt(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    key = place.store()
    place.receiver.crash = ValueError("token http://user:pass@host/secret")
    place.now += place.settle()
    assert "ValueError" in caplog.text
    assert "pass" not in caplog.text
    place.receiver.crash = None
    place.settle()
    assert place.receiver.keys == [key]


def test_a_long_outage_is_logged_now_and_then_and_its_end_too(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.store()
    place.receiver.failing = True
    with caplog.at_level(logging.WARNING):
        while place.now < 3600:
            place.now += place.settle()
        place.receiver.failing = False
        place.now += 60
        place.settle()
    assert 5 <= caplog.text.count("not delivered") <= 7
    assert caplog.text.count("delivered again, after 1") == 1


def test_a_malformed_message_is_left_out(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    position = place.journal.last_position + 1
    place.journal.append(Entry(position, START_S, "e1", "alert/cam1/", 1, b"{}"), {})
    key = place.store()
    place.settle()
    assert place.receiver.keys == [key]
    assert "cannot be read" in caplog.text


def test_messages_removed_from_the_journal_are_reported(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.store()
    place.settle()
    for _ in range(3):
        place.store()
    place.journal._file._db.execute("UPDATE kept SET after = (SELECT max(position) - 1 FROM messages)")
    place.journal._file._db.execute("DELETE FROM messages WHERE position < (SELECT max(position) FROM messages)")
    place.start()
    place.settle()
    assert place.receiver.keys == ["event-1:start", "event-4:start"]
    assert "no longer in the journal" in caplog.text


def test_a_ledger_that_cannot_be_written_stops_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(place.ledger, "write", full)
        keys = [place.store(), place.store()]
        place.settle()
    assert place.receiver.keys == keys
    assert caplog.text.count("cannot be written") == 1
    keys.append(place.store())
    place.settle()
    assert place.receiver.keys == keys
    assert "can be written again" in caplog.text


def test_ten_thousand_events_through_an_outage_of_an_hour(tmp_path: Path) -> None:
    place = Place(tmp_path, ScriptedReceiver())
    place.ledger._db.execute("PRAGMA synchronous = OFF")  # thousands of flushes would only load the disk
    keys, due = [], 0.0
    for number in range(10_000):
        place.now = number * 0.54  # 1.5 hours in all
        place.receiver.failing = 900 <= place.now < 4500
        keys.append(place.store())
        if number % 2500 == 1200:
            place.start()  # the monitor is restarted now and then, also during the outage
            place.ledger._db.execute("PRAGMA synchronous = OFF")
            due = 0.0
        if place.now >= due:
            wait_s = place.settle()
            due = place.now + (0.0 if wait_s == math.inf else wait_s)
        assert len(place.courier._entries) <= 50, "memory is bounded"
    while place.feed.caught_up(place.receiver.name, place.journal) is False:
        place.now += min(60.0, place.settle())
    counts = Counter(place.receiver.keys)
    assert [key for key in keys if counts[key] == 0] == []
    assert [key for key in keys if counts[key] > 1] == []
    assert place.receiver.keys == keys
    outage = {key for number, key in enumerate(keys) if 900 <= number * 0.54 < 4430}
    assert outage <= place.receiver.late
    place.stack.close()


def test_a_camera_is_forgotten_while_a_notice_about_it_waits(place: Place) -> None:
    key = "0123456789abcdef-01234567-door-1"
    place.receiver.failing = True
    place.store(event_id=key, camera="door")
    place.store(event_id="other", camera="yard")
    place.settle()
    assert place.courier.failing
    place.ledger.write("webhook.old", 1, f'{{"quiet": ["{key}"]}}')
    place.receiver.failing = False
    place.courier.forget("door")
    assert place.courier.forgetting
    place.courier.step()
    assert not place.courier.forgetting
    place.settle()
    assert place.receiver.keys == ["other:start"]
    assert place.ledger.read("webhook.old") == (1, '{"quiet": []}')
