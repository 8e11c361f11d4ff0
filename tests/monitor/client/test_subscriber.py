"""The subscriber on real sockets: received and missing messages, silence, and garbage on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage, Heartbeat, encode
from monitor.alerts.publisher import Publisher
from monitor.client import (
    AlertSubscriber,
    Contact,
    Ended,
    Expired,
    Gap,
    Item,
    Malformed,
    NoRepair,
    Received,
    Silence,
    UnknownCamera,
    Unreadable,
)
from monitor.client.lines import text_line
from monitor.errors import ConfigError
from monitor.states import CameraState, Phase
from tests.helpers.publishing import ANY, DEADLINE_S, START, an_alert, await_subscriptions, publish_alert


@contextmanager
def connected(
    *, topics: tuple[str, ...] = ("alert/", "heartbeat/"), **options: Any
) -> Iterator[tuple[Publisher, AlertSubscriber]]:
    """A publisher and a subscriber. The publisher has received the subscriptions."""
    with (
        Publisher(ANY, ANY, node="lab") as publisher,
        AlertSubscriber(
            publisher.alerts_endpoint, **({"timeout_s": DEADLINE_S, "repair": False} | options)
        ) as subscriber,
    ):
        await_subscriptions(publisher, *topics)
        yield publisher, subscriber


class RawPublisher:
    """Sends arbitrary messages, like a faulty network or another program."""

    def __init__(self, xpub: zmq.Socket[bytes]) -> None:
        self.xpub = xpub
        self.endpoint = xpub.get_string(zmq.LAST_ENDPOINT)

    def await_subscriptions(self, count: int) -> None:
        for _ in range(count):
            assert self.xpub.poll(int(DEADLINE_S * 1000)), "the subscriptions never arrived"
            self.xpub.recv()

    def alert(self, seq: int, epoch: str = "e1", camera: str = "cam1") -> None:
        message = an_alert(seq, epoch, camera)
        self.xpub.send_multipart([message.topic.encode(), encode(message)])

    def heartbeat(self, last_seq: dict[str, int], epoch: str = "e1", ended: str | None = None) -> None:
        body = Heartbeat(schema=1, node="lab", epoch=epoch, seq=1, sent_at=1.5e9, last_seq=last_seq, ended=ended)
        self.xpub.send_multipart([b"heartbeat/", encode(body)])


@pytest.fixture(scope="module")
def zmq_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def raw(zmq_context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[RawPublisher]:
    with zmq_context.socket(zmq.XPUB) as xpub:
        xpub.linger = 0
        xpub.bind(ANY)
        yield RawPublisher(xpub)


def short(item: Item) -> tuple[Any, ...]:
    """The parts of an item that most tests check."""
    match item:
        case Received():
            return ("got", item.message.topic, item.message.seq, item.lost)
        case Gap():
            return ("gap", item.topic, item.first, item.last)
        case Contact():
            return ("contact", item.epoch, item.restarted)
        case Malformed():
            return ("malformed", item.topic)
        case Silence():
            return ("silence", item.heard_before)
        case NoRepair():
            return ("no repair", item.reason)
        case Ended():
            return ("ended", item.how)
        case Expired():
            return ("expired", item.node)
        case Unreadable():
            return ("unreadable", item.count)
        case UnknownCamera():
            return ("unknown camera", item.cameras, item.known)


def take(subscriber: AlertSubscriber, count: int) -> list[tuple[Any, ...]]:
    return [short(next(subscriber)) for _ in range(count)]


def test_messages_and_pictures_arrive_as_they_were_sent() -> None:
    with connected(topics=("alert/", "health/", "heartbeat/"), health=True) as (publisher, subscriber):
        alert = publish_alert(publisher, jpeg=b"\xff\xd8picture")
        health = publisher.publish_health("cam1", CameraState.STALLED, since=1.5e9)
        assert next(subscriber) == Contact("lab", publisher.epoch, restarted=False)
        assert next(subscriber) == Received(alert, b"\xff\xd8picture", lost=0)
        assert next(subscriber) == Received(health, None, lost=0)


def test_a_subscriber_that_was_there_first_gets_what_was_sent_before_it_was_connected(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/alerts"
    with (
        AlertSubscriber(endpoint, timeout_s=DEADLINE_S) as subscriber,
        Journal(tmp_path / "j") as journal,
        Publisher(endpoint, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        publish_alert(publisher)  # no subscriber is connected yet
        publish_alert(publisher, event=replace(START, phase=Phase.END, ended_s=12.5))
        phases: list[Phase] = []
        deadline = time.monotonic() + DEADLINE_S
        while len(phases) < 2 and time.monotonic() < deadline:
            publisher.tick(time.monotonic())
            item = subscriber.next_now()
            if isinstance(item, Received) and isinstance(item.message, AlertMessage):
                phases.append(item.message.phase)
        assert phases == [Phase.START, Phase.END]


def test_only_the_cameras_asked_for_arrive_and_no_others_are_missed() -> None:
    topics = ("alert/cam1/", "alert/cam2/", "heartbeat/")
    with connected(topics=topics, cameras=["cam1", "cam2"]) as (publisher, subscriber):
        publisher.heartbeat_if_due(1.0)
        for camera in ("cam10", "cam1", "cam10", "cam2"):
            publish_alert(publisher, camera)
        publisher.heartbeat_if_due(2.0)
        publish_alert(publisher, "cam1")
        assert take(subscriber, 4) == [
            ("contact", publisher.epoch, False),
            ("got", "alert/cam1/", 1, 0),
            ("got", "alert/cam2/", 1, 0),
            ("got", "alert/cam1/", 2, 0),
        ]


def test_scores_come_from_their_own_socket() -> None:
    with (
        Publisher(ANY, ANY) as publisher,
        AlertSubscriber(
            publisher.alerts_endpoint, scores_endpoint=publisher.scores_endpoint, timeout_s=DEADLINE_S, repair=False
        ) as sub,
    ):
        await_subscriptions(publisher, "alert/", "heartbeat/", "score/")
        publisher.publish_score("cam1", time_s=1.0, frame_index=3, score=0.5, captured_at=1.5e9, raw={})
        assert short(next(sub)) == ("got", "score/cam1/", 1, 0)


def test_a_hole_in_the_numbers_is_reported_before_the_message_that_shows_it(raw: RawPublisher) -> None:
    with AlertSubscriber(raw.endpoint, repair=False, timeout_s=DEADLINE_S) as subscriber:
        raw.await_subscriptions(2)
        for seq in (1, 2, 6):
            raw.alert(seq)
        assert take(subscriber, 5) == [
            ("contact", "e1", False),
            ("got", "alert/cam1/", 1, 0),
            ("got", "alert/cam1/", 2, 0),
            ("gap", "alert/cam1/", 3, 5),
            ("got", "alert/cam1/", 6, 3),
        ]


def test_a_lost_tail_is_reported_by_the_next_heartbeat_once(raw: RawPublisher) -> None:
    with AlertSubscriber(raw.endpoint, repair=False, timeout_s=DEADLINE_S) as subscriber:
        raw.await_subscriptions(2)
        raw.alert(1)
        raw.heartbeat({"alert/cam1/": 3, "score/cam1/": 900})
        raw.heartbeat({"alert/cam1/": 3, "score/cam1/": 950})
        raw.alert(4)
        assert take(subscriber, 4) == [
            ("contact", "e1", False),
            ("got", "alert/cam1/", 1, 0),
            ("gap", "alert/cam1/", 2, 3),
            ("got", "alert/cam1/", 4, 0),
        ]


def test_alerts_sent_between_a_restart_and_the_reconnection_are_reported_missing(raw: RawPublisher) -> None:
    with AlertSubscriber(raw.endpoint, repair=False, timeout_s=DEADLINE_S) as subscriber:
        raw.await_subscriptions(2)
        raw.alert(40, epoch="e1")
        raw.heartbeat({"alert/cam1/": 2, "alert/cam2/": 1}, epoch="e2")
        assert take(subscriber, 5)[2:] == [
            ("contact", "e2", True),
            ("gap", "alert/cam1/", 1, 2),
            ("gap", "alert/cam2/", 1, 1),
        ]


def test_a_silent_publisher_is_reported_once_and_its_return_too(raw: RawPublisher) -> None:
    with AlertSubscriber(raw.endpoint, repair=False, silence_s=0.2, timeout_s=DEADLINE_S) as subscriber:
        raw.await_subscriptions(2)
        assert short(next(subscriber)) == ("silence", False)
        raw.heartbeat({})
        assert take(subscriber, 2) == [("contact", "e1", False), ("silence", True)]
        raw.alert(1)
        assert take(subscriber, 2) == [("contact", "e1", False), ("got", "alert/cam1/", 1, 0)]


def test_a_monitor_that_says_that_it_ends_is_told_from_one_that_falls_silent() -> None:
    with (
        Publisher(ANY, ANY, node="lab") as publisher,
        AlertSubscriber(publisher.alerts_endpoint, repair=False, silence_s=0.2, timeout_s=0.6) as subscriber,
    ):
        await_subscriptions(publisher, "alert/", "heartbeat/")
        publish_alert(publisher)
        publisher.end("done: every source has ended")
        assert [short(item) for item in subscriber] == [
            ("contact", publisher.epoch, False),
            ("got", "alert/cam1/", 1, 0),
            ("ended", "done: every source has ended"),
        ], "no silence is reported"


def test_after_its_end_a_monitor_that_is_started_again_is_heard(raw: RawPublisher) -> None:
    with AlertSubscriber(raw.endpoint, repair=False, timeout_s=DEADLINE_S) as subscriber:
        raw.await_subscriptions(2)
        raw.heartbeat({}, ended="stopped: by Ctrl-C or SIGTERM")
        raw.heartbeat({}, epoch="e2")
        assert take(subscriber, 3) == [
            ("contact", "e1", False),
            ("ended", "stopped: by Ctrl-C or SIGTERM"),
            ("contact", "e2", True),
        ]


def test_scores_alone_do_not_hide_that_the_alerts_are_silent(zmq_context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with Publisher(ANY, ANY) as publisher, zmq_context.socket(zmq.XPUB) as mute:
        mute.linger = 0
        mute.bind(ANY)
        endpoint = mute.get_string(zmq.LAST_ENDPOINT)
        with AlertSubscriber(endpoint, scores_endpoint=publisher.scores_endpoint, silence_s=0.2) as subscriber:
            await_subscriptions(publisher, "score/")
            deadline = time.monotonic() + DEADLINE_S
            while time.monotonic() < deadline:
                publisher.publish_score("cam1", time_s=1.0, frame_index=3, score=0.5, captured_at=1.5e9, raw={})
                if short(next(subscriber)) == ("silence", False):
                    return
    pytest.fail("the silence was never reported")


def test_a_slow_caller_finds_messages_and_no_silence() -> None:
    with connected(silence_s=0.05) as (publisher, subscriber):
        publish_alert(publisher)
        assert take(subscriber, 1) == [("contact", publisher.epoch, False)]
        publish_alert(publisher)
        with zmq.Context() as context, context.socket(zmq.SUB) as other:  # only to let time pass: nothing arrives here
            assert not other.poll(200)
        assert take(subscriber, 2) == [("got", "alert/cam1/", 1, 0), ("got", "alert/cam1/", 2, 0)]


def test_iteration_ends_when_no_message_comes_in_time_and_heartbeats_are_none(raw: RawPublisher) -> None:
    with AlertSubscriber(raw.endpoint, repair=False, timeout_s=0.3) as subscriber:
        raw.await_subscriptions(2)
        raw.heartbeat({})
        assert [short(item) for item in subscriber] == [("contact", "e1", False)]


garbage = st.lists(
    st.binary(max_size=30) | st.sampled_from([b"{}", b"[]", b"null", encode(an_alert()), encode(an_alert())[:-9]]),
    max_size=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topic=st.sampled_from([b"alert/", b"alert/cam9/", b"alert/\xff", b"heartbeat/"]), parts=garbage)
def test_garbage_on_the_wire_is_counted_and_passed_over(
    garbled: tuple[RawPublisher, AlertSubscriber], topic: bytes, parts: list[bytes]
) -> None:
    raw, subscriber = garbled
    before = subscriber.malformed
    raw.xpub.send_multipart([topic, *parts])
    raw.xpub.send_multipart([b"alert/cam1/", encode(an_alert(before + 1))])
    items = [next(subscriber) for _ in range(2)]
    if before == 0 and any(isinstance(item, Contact) for item in items):
        items = [*items, next(subscriber)]
    kinds = [type(item) for item in items if not isinstance(item, Contact)]
    assert kinds == [Malformed, Received]
    assert subscriber.malformed == before + 1
    assert all(text_line(item).isprintable() for item in items)


@pytest.fixture
def garbled(raw: RawPublisher) -> Iterator[tuple[RawPublisher, AlertSubscriber]]:
    with AlertSubscriber(raw.endpoint, repair=False, timeout_s=DEADLINE_S, silence_s=60.0) as subscriber:
        raw.await_subscriptions(2)
        yield raw, subscriber


@pytest.mark.parametrize("endpoint", ["nowhere", "tcp://127.0.0.1", "tcp://*:5560", "udp://127.0.0.1:5560"])
def test_a_bad_endpoint_is_a_config_error(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="with host and port, such as tcp://127"), AlertSubscriber(endpoint):
        pass


def test_a_bad_camera_name_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="'a/b' is not a camera name"):
        AlertSubscriber(cameras=["a/b"])
    with pytest.raises(ConfigError, match="it has more than 255 bytes"):
        AlertSubscriber(cameras=["é" * 128])


@pytest.mark.parametrize("timeout_s", [-1.0, float("nan")])
def test_a_timeout_that_can_never_come_is_a_config_error(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout must be 0 or more"):
        AlertSubscriber(timeout_s=timeout_s)
