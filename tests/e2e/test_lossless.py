"""The guarantees, on real sockets and real processes: every journalled alert arrives exactly once, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zmq

from benchmarks.kill import run, run_stopped
from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, AsyncAlertSubscriber, Gap, Item, NoRepair, Received
from monitor.client.follower import Start
from monitor.client.since import Since, start_of
from monitor.errors import ConfigError, LostError
from monitor.states import AlertEvent, Phase

ANY = "tcp://127.0.0.1:*"
DEADLINE_S = 20.0
PICTURE = bytes(10_000)
TOO_MANY = 4000
"""Alerts with pictures that fill the queues of both sides, which hold 1000 each, and the kernel's buffers."""


class Monitor:
    """A publisher with a journal that can be restarted on the same addresses, and the messages that it has sent."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.sqlite3"
        self.addresses = [ANY, ANY, ANY]
        self.sent: list[AlertMessage] = []
        self._stack = ExitStack()

    def start(self, *, journal: bool = True) -> Publisher:
        kept = self._stack.enter_context(Journal(self.path)) if journal else None
        publisher = Publisher(*self.addresses, node="lab", journal=kept)
        self.publisher = self._stack.enter_context(publisher)
        self.addresses = [publisher.alerts_endpoint, publisher.scores_endpoint, publisher.history_endpoint or ""]
        return publisher

    def stop(self) -> None:
        self._stack.close()

    def send(self, count: int, phase: Phase = Phase.END, camera: str = "cam1", jpeg: bytes | None = None) -> None:
        for _ in range(count):
            number = len(self.sent) + 1
            ended_s = 12.5 if phase is Phase.END else None
            message = self.publisher.publish_alert(
                camera,
                AlertEvent(number, phase, 10.0, ended_s, 1.25, 1.5, 10.5, notify=True),
                started_at=1.5e9,
                ended_at=None,
                model=ModelRef(id="street", hash="ab12"),
                frame_age_s=0.1,
                dropped_frames=0,
                jpeg=jpeg,
            )
            self.sent.append(message)

    def receive(self, subscriber: AlertSubscriber, alerts: int) -> list[Item]:
        """Run the publisher until this many alerts have arrived. Returns all items until then."""
        items: list[Item] = []
        deadline = time.monotonic() + DEADLINE_S
        while alerts:
            assert time.monotonic() < deadline, f"{alerts} alerts did not arrive: {items[-3:]}"
            self.publisher.tick(time.monotonic())
            item = subscriber.next_now()
            if item is not None:
                items.append(item)
                alerts -= len(of([item]))
        return items

    def await_subscription(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while "heartbeat/" not in self.publisher.update_subscriptions(timeout_s=0.1):
            assert time.monotonic() < deadline


def of(items: list[Item]) -> list[AlertMessage]:
    return [item.message for item in items if isinstance(item, Received) and isinstance(item.message, AlertMessage)]


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    monitor = Monitor(tmp_path)
    yield monitor
    monitor.stop()


# One process


def test_a_late_subscriber_gets_the_open_events_and_then_the_live_stream(monitor: Monitor) -> None:
    publisher = monitor.start()
    monitor.send(1, Phase.START)
    monitor.send(2, Phase.END)
    with AlertSubscriber(publisher.alerts_endpoint) as subscriber:
        assert of(monitor.receive(subscriber, 1)) == monitor.sent[:1]
        monitor.send(1, Phase.START, "cam2")
        received = of(monitor.receive(subscriber, 1))
        while received[-1] not in monitor.sent[3:]:
            received += of(monitor.receive(subscriber, 1))
        # It knows its own start only to the accuracy of a heartbeat, so alerts from just before may arrive too.
        assert received == monitor.sent[4 - len(received) :]
        assert len(received) <= 3


def test_more_than_a_subscriber_has_room_for_is_had_again(monitor: Monitor) -> None:
    publisher = monitor.start()
    with AlertSubscriber(publisher.alerts_endpoint) as subscriber:
        monitor.await_subscription()
        monitor.send(1)
        assert of(monitor.receive(subscriber, 1)) == monitor.sent
        monitor.send(TOO_MANY, jpeg=PICTURE)
        items = monitor.receive(subscriber, TOO_MANY)
        assert of(items) == monitor.sent[1:]
        assert not any(isinstance(item, Gap | NoRepair) for item in items)


def test_its_own_restart_and_the_monitor_s_lose_and_double_nothing(monitor: Monitor) -> None:
    publisher = monitor.start()
    received: list[AlertMessage] = []
    token: Since = timedelta(hours=1)
    for life in range(4):
        monitor.send(5)
        with AlertSubscriber(publisher.alerts_endpoint, since=token) as subscriber:
            received += of(monitor.receive(subscriber, 3))
            monitor.send(2)
            if life % 2:
                monitor.stop()
                monitor.start()
                monitor.send(1)
                received += of(monitor.receive(subscriber, 1))
            token = subscriber.token
    with AlertSubscriber(publisher.alerts_endpoint, since=token) as subscriber:
        received += of(monitor.receive(subscriber, len(monitor.sent) - len(received)))
    assert received == monitor.sent


def test_only_the_cameras_asked_for_are_delivered_and_repaired(monitor: Monitor) -> None:
    publisher = monitor.start()
    with AlertSubscriber(publisher.alerts_endpoint, since="1h", cameras=["cam2"]) as subscriber:
        for _ in range(3):
            monitor.send(500, camera="cam1")
            monitor.send(1, camera="cam2")
        items = monitor.receive(subscriber, 3)
    assert of(items) == [message for message in monitor.sent if message.camera == "cam2"]
    assert not any(isinstance(item, Gap) for item in items)


@pytest.mark.parametrize(
    "since", [timedelta(hours=1), "1h", "60m", datetime.now(UTC) - timedelta(hours=1), "2020-01-01"]
)
def test_what_has_been_is_received_since_any_time(monitor: Monitor, since: Since) -> None:
    publisher = monitor.start()
    monitor.send(3)
    with AlertSubscriber(publisher.alerts_endpoint, since=since) as subscriber:
        assert of(monitor.receive(subscriber, 3)) == monitor.sent


def test_without_a_journal_losses_are_said_and_with_strict_raised(monitor: Monitor) -> None:
    publisher = monitor.start(journal=False)
    with AlertSubscriber(publisher.alerts_endpoint) as subscriber:
        monitor.await_subscription()
        monitor.send(1)
        assert NoRepair("this monitor keeps no journal") in monitor.receive(subscriber, 1)
        monitor.send(TOO_MANY, jpeg=PICTURE)

        def follow() -> None:
            for _ in subscriber.alerts(strict=True):
                monitor.send(1)  # reveals the loss as soon as the queue has room again

        with pytest.raises(LostError, match="lost: alert/cam1/"):
            follow()


def test_a_history_that_does_not_answer_is_given_up_and_said(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.client.inquiry.ASK_AGAIN_S", 0.05)
    monkeypatch.setattr("monitor.client.inquiry.GIVE_UP_S", 0.3)
    publisher = monitor.start()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as deaf:
        deaf.linger = 0
        deaf.bind(ANY)
        elsewhere = deaf.get_string(zmq.LAST_ENDPOINT)
        with AlertSubscriber(publisher.alerts_endpoint, history_endpoint=elsewhere) as subscriber:
            monitor.await_subscription()
            monitor.send(1)
            items = monitor.receive(subscriber, 1)
    assert NoRepair(f"the history at {elsewhere} does not answer") in items


def test_the_history_moves_with_a_monitor_that_is_restarted_elsewhere(monitor: Monitor) -> None:
    publisher = monitor.start()
    with AlertSubscriber(publisher.alerts_endpoint, since="1h") as subscriber:
        monitor.send(1)
        monitor.receive(subscriber, 1)
        monitor.send(1)
        monitor.stop()
        monitor.addresses[2] = ANY
        monitor.start()
        monitor.send(1)
        assert of(monitor.receive(subscriber, 2)) == monitor.sent[1:]


# The first alert to receive


@pytest.mark.parametrize(
    ("since", "start"),
    [
        (None, None),
        ("p123", Start(after=123)),
        ("90s", Start(age_s=90.0)),
        ("1.5h", Start(age_s=5400.0)),
        ("7d", Start(age_s=604_800.0)),
        (timedelta(minutes=2), Start(age_s=120.0)),
        ("2026-03-02T14:00+00:00", Start(since=1_772_460_000.0)),
        (datetime(2026, 3, 2, 14, tzinfo=UTC), Start(since=1_772_460_000.0)),
    ],
)
def test_where_to_begin_can_be_said_in_many_ways(since: Since, start: Start | None) -> None:
    assert start_of(since) == start


@pytest.mark.parametrize(
    "since", ["yesterday", "", "2 h", "p", "p-1", "-5m", "123", timedelta(hours=-1), "1" * 400 + "h"]
)
def test_a_beginning_that_cannot_be_is_one_sentence(since: Since) -> None:
    with pytest.raises(ConfigError, match="cannot begin"):
        start_of(since)


# asyncio


def test_the_asynchronous_subscriber_receives_repairs_and_can_be_cancelled(monitor: Monitor) -> None:
    publisher = monitor.start()
    received: list[AlertMessage] = []

    async def crank() -> None:
        monitor.send(2)
        while True:
            publisher.tick(time.monotonic())
            await asyncio.sleep(0.01)

    async def follow() -> None:
        async for alert in AsyncAlertSubscriber(publisher.alerts_endpoint, since="1h").alerts():
            received.append(alert)
            if len(received) == 2:
                monitor.send(3000)

    async def both() -> None:
        following, cranking = asyncio.create_task(follow()), asyncio.create_task(crank())
        async with asyncio.timeout(DEADLINE_S):
            while len(received) < 3002:
                await asyncio.sleep(0.01)
        for task in (following, cranking):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert following.cancelled()

    asyncio.run(both())
    assert received == monitor.sent


def test_the_asynchronous_subscriber_ends_at_its_timeout() -> None:
    async def follow() -> list[Item]:
        async with AsyncAlertSubscriber("tcp://127.0.0.1:1", timeout_s=0.2) as subscriber:
            assert subscriber.token is None
            return [item async for item in subscriber]

    assert asyncio.run(follow()) == []


# Processes that are killed and stopped


def test_no_journalled_alert_is_lost_or_doubled_when_publisher_and_subscriber_are_killed(tmp_path: Path) -> None:
    figures = run(4, tmp_path, seed=int(time.time()), kill_subscriber_every=2)
    assert figures.good, str(figures)
    assert (figures.kills, figures.subscriber_kills) == (4, 2)
    assert figures.received > 100


def test_a_subscriber_that_is_stopped_costs_no_memory_and_no_alert(tmp_path: Path) -> None:
    figures, before_mb, largest_mb = run_stopped(1.5, tmp_path, picture_bytes=50_000)
    assert figures.good, str(figures)
    assert figures.received > 200
    assert largest_mb - before_mb < 100


def test_fifty_subscribers_at_once_each_get_every_alert_in_order(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    monitor = Monitor(tmp_path)
    publisher = monitor.start()
    sockets = []
    for number in range(50):
        sub = context.socket(zmq.SUB)
        sub.subscribe("alert/cam1/")
        sub.subscribe(f"ready/{number}/")  # reports to the publisher that this one is connected
        sub.connect(publisher.alerts_endpoint)
        sockets.append(sub)
    wanted = {f"ready/{number}/" for number in range(50)}
    deadline = time.monotonic() + DEADLINE_S
    while not wanted <= publisher.update_subscriptions(0.1):
        assert time.monotonic() < deadline
    monitor.send(200)
    try:
        for sub in sockets:
            seqs: list[int] = []
            while len(seqs) < 200:
                assert sub.poll(int(DEADLINE_S * 1000)), f"only {len(seqs)} of 200 arrived"
                seqs.append(AlertMessage.model_validate_json(sub.recv_multipart()[1]).seq)
            assert seqs == list(range(1, 201))
    finally:
        context.destroy(linger=0)
        monitor.stop()
