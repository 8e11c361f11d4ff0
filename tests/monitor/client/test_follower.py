"""How a subscriber handles losses, restarts and pages of history, without sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.history import History, decode_answer
from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import Entry
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage, Decoded, Heartbeat, encode
from monitor.client.follower import HELD, Follower, Start
from monitor.client.items import Expired, Gap, Item, NoRepair, Received
from monitor.states import Phase


class UnreliableJournal(Journal):
    """A journal in memory that can be full."""

    full = False

    def append(self, entry: Entry, open_events: dict[str, Entry]) -> bool:  # type: ignore[override]
        return False if self.full else super().append(entry, open_events)


@dataclass
class Monitor:
    """The sending side and the wire: messages that were sent, stored, or are in the subscriber's socket."""

    journal: UnreliableJournal
    history: History = field(init=False)
    wire: deque[Decoded | Heartbeat] = field(default_factory=deque)
    sent: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    starts: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.starts += 1
        self.history = History("lab", f"e{self.starts}", self.journal)

    def send(self, camera: str = "a", *, arrives: bool = True, kept: bool = True, phase: Phase = Phase.UPDATE) -> int:
        history, topic = self.history, f"alert/{camera}/"
        message = AlertMessage(
            schema=1, node="lab", epoch=history.epoch, seq=history.last_seq.get(topic, 0) + 1, sent_at=1.5e9,
            position=history.position + 1, event_id=camera, phase=phase, camera=camera, started_at=1.5e9,
            ended_at=None, started_s=1.0, ended_s=None, score=1.0, peak_score=1.0, expected_false_alarms_per_day=None,
            notify=True, model=ModelRef(id="m", hash="h"), frame_age_s=0.1, dropped_frames=0,
        )  # fmt: skip
        self.journal.full = not kept
        history.keep(message, encode(message), None)
        assert message.position is not None
        self.sent.append(message.position)
        if kept:
            self.kept.append(message.position)
        if arrives:
            self.wire.append(Decoded(message))
        return message.position

    def beat(self) -> None:
        history = self.history
        self.wire.append(
            Heartbeat(
                schema=1, node="lab", epoch=history.epoch, seq=1, sent_at=1.5e9 + 1, last_seq=dict(history.last_seq),
                position=history.position, history="tcp://127.0.0.1:5562",
            )
        )  # fmt: skip


@dataclass
class Subscriber:
    monitor: Monitor
    follower: Follower
    items: list[Item] = field(default_factory=list)
    token: int | None = None

    def read(self, count: int = 1_000_000) -> None:
        for _ in range(min(count, len(self.monitor.wire))):
            came = self.monitor.wire.popleft()
            if isinstance(came, Heartbeat):
                self.follower.heartbeat(came)
            else:
                self.follower.live(came)
            self.drain()

    def ask(self) -> None:
        if self.follower.request is not None:
            self.follower.answer(decode_answer(self.monitor.history.answer(encode(self.follower.request), 1.5e9 + 1)))
            self.drain()

    def drain(self) -> None:
        while self.follower.items:
            item, position = self.follower.items.popleft()
            self.token = self.token if position is None else position
            if item is not None:
                self.items.append(item)

    def finish(self) -> None:
        self.monitor.beat()
        self.read()
        for _ in range(100):
            if self.follower.request is None:
                return
            self.ask()
            self.monitor.beat()
            self.read()
        raise AssertionError("it never stops asking")

    @property
    def positions(self) -> list[int]:
        return [
            i.message.position or 0 for i in self.items if isinstance(i, Received) and not hasattr(i.message, "raw")
        ]

    @property
    def others(self) -> list[Item]:
        return [item for item in self.items if not isinstance(item, Received)]


@contextmanager
def monitor() -> Iterator[Monitor]:
    with UnreliableJournal(Path(":memory:")) as journal:
        yield Monitor(journal)


def joined(monitor: Monitor, start: Start | None = None, *, repair: bool = True) -> Subscriber:
    subscriber = Subscriber(monitor, Follower(["alert/"], start, repair=repair))
    subscriber.finish()
    return subscriber


def test_a_late_subscriber_gets_each_open_event_once_and_then_the_live_stream() -> None:
    with monitor() as m:
        m.send("a", phase=Phase.START, arrives=False)
        last_of_a = m.send("a", arrives=False)
        m.send("b", phase=Phase.END, arrives=False)
        subscriber = joined(m)
        live = m.send("b")
        subscriber.read()
        assert subscriber.positions == [last_of_a, live]
        assert subscriber.others == []


def test_a_subscriber_that_was_there_before_the_monitor_gets_all_of_it_though_it_was_connected_late() -> None:
    with monitor() as m:
        subscriber = Subscriber(m, Follower(["alert/"]))
        m.send("a", phase=Phase.START, arrives=False)
        m.send("b", phase=Phase.START, arrives=False)
        m.send("a", phase=Phase.END)
        m.beat()
        subscriber.follower.heartbeat(m.wire.pop(), waited_s=5.0)  # type: ignore[arg-type]
        subscriber.finish()
        assert subscriber.positions == m.sent
        assert subscriber.others == []


def test_what_arrives_while_it_joins_is_not_lost_to_the_snapshot() -> None:
    with monitor() as m:
        subscriber = Subscriber(m, Follower(["alert/"]))
        start, end = m.send("a", phase=Phase.START), m.send("a", phase=Phase.END)
        lost = m.send("a", phase=Phase.START, arrives=False)
        subscriber.finish()
        assert subscriber.positions == [start, end, lost]


@pytest.mark.parametrize("shown_by", ["the next message", "a heartbeat"])
def test_lost_messages_are_had_again_in_order_and_no_gap_is_told(shown_by: str) -> None:
    with monitor() as m:
        subscriber = joined(m)
        for n in range(6):
            m.send("ab"[n % 2], arrives=n not in (1, 2, 3, 4))
        if shown_by == "a heartbeat":
            m.send(arrives=False)
        subscriber.finish()
        assert subscriber.positions == m.sent
        assert subscriber.others == []


def test_what_could_not_be_kept_and_did_not_arrive_is_a_gap_told_once() -> None:
    with monitor() as m:
        subscriber = joined(m)
        m.send()
        m.send(arrives=False, kept=False)
        m.send(arrives=False)
        m.send(arrives=False, kept=False)
        subscriber.finish()
        subscriber.finish()
        assert subscriber.positions == m.kept
        assert subscriber.others == [Gap("alert/a/", 2, 2), Gap("alert/a/", 4, 4)]


def test_what_could_not_be_kept_is_still_delivered_when_it_comes_live_amid_a_repair() -> None:
    with monitor() as m:
        subscriber = joined(m)
        m.send(arrives=False)
        m.send(kept=False)
        m.send(arrives=False)
        m.send(kept=False)
        subscriber.finish()
        assert subscriber.positions == m.sent
        assert subscriber.others == []


def test_a_restart_loses_nothing_of_what_was_kept_before_and_after_it() -> None:
    with monitor() as m:
        subscriber = joined(m)
        m.send()
        m.send(arrives=False)  # stored, but the monitor was killed before it was sent
        m.restart()
        m.send(arrives=False)
        subscriber.finish()
        m.send("b")
        subscriber.finish()
        assert subscriber.positions == m.sent
        assert subscriber.others == []


def test_a_token_goes_on_exactly_where_it_was_given_out() -> None:
    with monitor() as m:
        first = joined(m)
        for _ in range(5):
            m.send()
        first.read(3)
        m.restart()
        m.wire.clear()
        m.send()
        second = joined(m, Start(after=first.token))
        assert first.positions + second.positions == m.sent


def test_a_token_older_than_the_journal_is_said_to_miss_something() -> None:
    with monitor() as m:
        subscriber = joined(m, Start(after=5))
        assert subscriber.others == [Expired("lab")]


def test_a_page_at_a_time_is_asked_for() -> None:
    with monitor() as m:
        for _ in range(1203):
            m.send(arrives=False)
        subscriber = Subscriber(m, Follower(["alert/"], Start(since=0.0)))
        m.beat()
        subscriber.read()
        asked = 0
        while subscriber.follower.request is not None:
            asked += 1
            subscriber.ask()
        assert asked == 3
        assert subscriber.positions == m.sent


def test_what_is_held_back_during_a_repair_is_bounded_and_what_is_beyond_is_had_again() -> None:
    with monitor() as m:
        subscriber = joined(m)
        m.send(arrives=False)
        for _ in range(HELD + 500):
            m.send()
        subscriber.read()
        assert len(subscriber.follower._held) == HELD
        subscriber.finish()
        assert subscriber.positions == m.sent


def test_without_a_journal_losses_are_noticed_and_that_is_said() -> None:
    m = Monitor(UnreliableJournal(Path(":memory:")).__enter__())
    m.history.journal = None
    subscriber = joined(m)
    m.send()
    m.send(arrives=False)
    m.send()
    subscriber.read()
    assert subscriber.others == [NoRepair("this monitor keeps no journal"), Gap("alert/a/", 2, 2)]
    assert len(subscriber.positions) == 2
    m.journal.__exit__()


def test_a_history_that_is_given_up_lets_go_of_what_was_held_back() -> None:
    with monitor() as m:
        subscriber = joined(m)
        m.send(arrives=False)
        m.send()
        subscriber.read()
        assert subscriber.positions == []
        subscriber.follower.give_up("no answer")
        subscriber.drain()
        assert subscriber.positions == m.sent[1:]
        assert subscriber.others == [NoRepair("no answer"), Gap("alert/a/", 1, 1)]


def test_a_monitor_whose_positions_begin_anew_is_still_followed() -> None:
    with monitor() as m:
        subscriber = joined(m)
        m.send()
        subscriber.read()
        with UnreliableJournal(Path(":memory:")) as other:
            m.journal = other
            m.restart()
            other._file.kept_after = m.history.position = 1000  # the journal was deleted, and the clock set back
            m.send("b")
            m.send("b")
            subscriber.finish()
            m.send("b")
            subscriber.finish()
            assert subscriber.positions == m.sent


Step = tuple[str, str, bool, bool]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from("ab"), st.booleans(), st.just(True)),
        st.tuples(st.sampled_from(["beat", "read", "ask", "restart"]), st.just(""), st.just(True), st.just(True)),
    ),
    max_size=60,
)
with_a_disk_that_is_full_at_times = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from("ab"), st.booleans(), st.booleans()),
        st.tuples(st.sampled_from(["beat", "read", "ask"]), st.just(""), st.just(True), st.just(True)),
    ),
    max_size=60,
)


def played(m: Monitor, subscriber: Subscriber, script: list[Step]) -> None:
    for kind, camera, arrives, kept in script:
        if kind == "send":
            m.send(camera, arrives=arrives, kept=kept)
        elif kind == "beat":
            m.beat()
        elif kind == "read":
            subscriber.read(2)
        elif kind == "ask":
            subscriber.ask()
        else:
            m.restart()
    subscriber.finish()


@settings(max_examples=150, deadline=None)
@given(steps)
def test_whatever_is_lost_and_restarted_everything_arrives_exactly_once_and_in_order(script: list[Step]) -> None:
    with monitor() as m:
        subscriber = joined(m)
        played(m, subscriber, script)
        assert subscriber.positions == m.sent
        assert subscriber.others == []


@settings(max_examples=150, deadline=None)
@given(with_a_disk_that_is_full_at_times)
def test_what_was_not_kept_arrives_or_is_told_missing_and_nothing_comes_twice(script: list[Step]) -> None:
    with monitor() as m:
        subscriber = joined(m)
        played(m, subscriber, script)
        got = subscriber.positions
        assert got == sorted(set(got))
        assert set(m.kept) <= set(got)
        gaps = sum(item.last - item.first + 1 for item in subscriber.others if isinstance(item, Gap))
        assert len(got) + gaps == len(m.sent)
