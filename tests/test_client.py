from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
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

from monitor.client import (
    AlertSubscriber,
    Contact,
    Expired,
    Gap,
    Item,
    Malformed,
    NoRepair,
    Received,
    SequenceTracker,
    Silence,
    UnknownCamera,
)
from monitor.client.lines import json_line, text_line
from monitor.errors import ConfigError
from monitor.journal import Journal
from monitor.messages import AlertMessage, HealthMessage, Heartbeat, ModelRef, ReasonBody, ScoreMessage, encode
from monitor.publisher import Publisher
from monitor.types import AlertEvent, CameraState, Phase, Reason

ANY = "tcp://127.0.0.1:*"
DEADLINE_S = 20.0
START = AlertEvent(1, Phase.START, 10.0, None, score=1.25, peak_score=1.5, peak_s=10.5, notify=True)


def publish_alert(
    publisher: Publisher, camera: str = "cam1", event: AlertEvent = START, jpeg: bytes = b""
) -> AlertMessage:
    return publisher.publish_alert(
        camera,
        event,
        started_at=1.5e9,
        ended_at=None if event.ended_s is None else 1.5e9 + 2.5,
        model=ModelRef(id="street", hash="ab12"),
        frame_age_s=0.1,
        dropped_frames=0,
        reasons=[Reason("speed", 3.0, 1.0, "px/frame")],
        jpeg=jpeg,
    )


def await_subscriptions(publisher: Publisher, *topics: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not publisher.update_subscriptions(timeout_s=0.1) >= set(topics):
        assert time.monotonic() < deadline, f"nobody subscribed to {topics}"


@contextmanager
def connected(
    *, topics: tuple[str, ...] = ("alert/", "heartbeat/"), **options: Any
) -> Iterator[tuple[Publisher, AlertSubscriber]]:
    """A publisher, and a subscriber whose subscriptions it has taken."""
    with (
        Publisher(ANY, ANY, node="lab") as publisher,
        AlertSubscriber(
            publisher.alerts_endpoint, **({"timeout_s": DEADLINE_S, "repair": False} | options)
        ) as subscriber,
    ):
        await_subscriptions(publisher, *topics)
        yield publisher, subscriber


class RawPublisher:
    """Sends whatever it is told to: a faulty network, or a foreign program."""

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

    def heartbeat(self, last_seq: dict[str, int], epoch: str = "e1") -> None:
        body = Heartbeat(schema=1, node="lab", epoch=epoch, seq=1, sent_at=1.5e9, last_seq=last_seq)
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


def an_alert(seq: int = 1, epoch: str = "e1", camera: str = "cam1", **changes: Any) -> AlertMessage:
    values: dict[str, Any] = {
        "schema": 1, "node": "lab", "epoch": epoch, "seq": seq, "sent_at": 1.5e9, "event_id": f"{epoch}-{camera}-1",
        "phase": Phase.START, "camera": camera, "started_at": 1.5e9, "ended_at": None, "started_s": 10.0,
        "ended_s": None, "score": 1.2, "peak_score": 1.5, "expected_false_alarms_per_day": None, "notify": True,
        "model": ModelRef(id="street", hash="ab12"), "frame_age_s": 0.1, "dropped_frames": 0,
    }  # fmt: skip
    return AlertMessage(**(values | changes))


def short(item: Item) -> tuple[Any, ...]:
    """What matters of an item in most tests."""
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
        case Expired():
            return ("expired", item.node)
        case UnknownCamera():
            return ("unknown camera", item.cameras, item.known)


def take(subscriber: AlertSubscriber, count: int) -> list[tuple[Any, ...]]:
    return [short(next(subscriber)) for _ in range(count)]


# The numbers


def test_a_subscriber_that_joins_late_misses_nothing_of_what_came_before() -> None:
    tracker = SequenceTracker()
    assert not tracker.enter("e1")
    assert tracker.received("alert/a/", 57) == (True, None)
    assert tracker.announced({"alert/a/": 57, "alert/b/": 9}) == []
    assert tracker.received("alert/b/", 10) == (True, None)


def test_after_a_heartbeat_a_topic_it_did_not_name_begins_at_1() -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    tracker.announced({})
    assert tracker.received("alert/a/", 3) == (True, Gap("alert/a/", 1, 2))


def test_after_a_restart_every_topic_begins_at_1() -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    tracker.received("alert/a/", 57)
    assert tracker.enter("e2")
    assert not tracker.enter("e2")
    assert tracker.received("alert/a/", 2) == (True, Gap("alert/a/", 1, 1))
    assert tracker.announced({"alert/b/": 2}) == [Gap("alert/b/", 1, 2)]


def test_a_message_that_comes_twice_is_new_once() -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    assert tracker.received("alert/a/", 1) == (True, None)
    assert tracker.received("alert/a/", 1) == (False, None)
    assert tracker.received("alert/a/", 2) == (True, None)


@given(st.lists(st.tuples(st.sampled_from(["alert/a/", "alert/b/", "heartbeat/"]), st.booleans()), max_size=60))
def test_whatever_is_lost_each_message_is_received_or_reported_missing_exactly_once(
    sent: list[tuple[str, bool]],
) -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    tracker.announced({})
    last: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for topic, arrives in [*sent, ("heartbeat/", True)]:
        if topic != "heartbeat/":
            last[topic] = last.get(topic, 0) + 1
        gaps: list[Gap] = []
        if topic == "heartbeat/" and arrives:
            gaps = tracker.announced(last)
        elif arrives:
            new, gap = tracker.received(topic, last[topic])
            assert new
            gaps = [gap] if gap else []
        found += [(gap.topic, seq) for gap in gaps for seq in range(gap.first, gap.last + 1)]
        if topic != "heartbeat/" and arrives:
            found.append((topic, last[topic]))
    assert len(found) == len(set(found))
    assert sorted(found) == sorted((topic, seq) for topic in last for seq in range(1, last[topic] + 1))
    for topic in last:  # in order, too
        assert [seq for name, seq in found if name == topic] == list(range(1, last[topic] + 1))


# The subscriber on real sockets


def test_messages_and_pictures_arrive_as_they_were_sent() -> None:
    with connected(topics=("alert/", "health/", "heartbeat/"), health=True) as (publisher, subscriber):
        alert = publish_alert(publisher, jpeg=b"\xff\xd8picture")
        health = publisher.publish_health("cam1", CameraState.STALLED, since=1.5e9)
        assert next(subscriber) == Contact("lab", publisher.epoch, restarted=False)
        assert next(subscriber) == Received(alert, b"\xff\xd8picture", lost=0)
        assert next(subscriber) == Received(health, None, lost=0)


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
        with zmq.Context() as context, context.socket(zmq.SUB) as other:  # lets time pass: nothing ever comes here
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
    with pytest.raises(ConfigError, match="tcp://HOST:PORT"), AlertSubscriber(endpoint):
        pass


def test_a_bad_camera_name_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="'a/b' is no camera's name"):
        AlertSubscriber(cameras=["a/b"])


@pytest.mark.parametrize("timeout_s", [-1.0, float("nan")])
def test_a_timeout_that_can_never_come_is_a_config_error(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout must be 0 or more"):
        AlertSubscriber(timeout_s=timeout_s)


# What is printed


def test_an_alert_reads_as_one_line() -> None:
    start = an_alert(reasons=())
    end = an_alert(phase=Phase.END, ended_at=1.5e9 + 2.5, ended_s=12.5, notify=False)
    assert text_line(Received(start, None, 0)).endswith("  cam1  START  peak 1.50")
    assert text_line(Received(end, None, 0)).endswith(
        "  cam1  END  peak 1.50  lasted 2.5 s  (soon after another alert: kept, nobody is notified)"
    )
    assert text_line(Received(start, None, 0)).startswith(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1.5e9)))


def local(unix_s: float, shape: str = "%H:%M:%S") -> str:
    return time.strftime(shape, time.localtime(unix_s))


def test_lines_begin_with_when_they_were_sent_and_say_what_began_before() -> None:
    sent = 1.5e9 + 90.0
    update = an_alert(phase=Phase.UPDATE, sent_at=sent)
    end = an_alert(phase=Phase.END, sent_at=sent, ended_at=1.5e9 + 87.5, ended_s=97.5)
    killed = an_alert(phase=Phase.END, sent_at=sent, ended_at=1.5e9 + 87.5, interrupted=True)
    state: dict[str, Any] = {"schema": 1, "node": "lab", "epoch": "e1", "seq": 1, "camera": "cam1", "state": "moved"}
    lasting = HealthMessage(**state, sent_at=sent, since=1.5e9, detail="it looks elsewhere")
    days = HealthMessage(**state, sent_at=sent, since=1.5e9 - 2 * 86_400, detail="")
    fresh = HealthMessage(**state, sent_at=sent, since=sent - 0.2, detail="")
    ahead = HealthMessage(**state, sent_at=sent, since=sent + 60.0, detail="")
    frame: dict[str, Any] = {"schema": 1, "node": "lab", "epoch": "e1", "seq": 1, "camera": "cam1", "raw": {}}
    score = ScoreMessage(**frame, sent_at=sent, time_s=1.0, frame_index=3, score=None, captured_at=1.5e9)
    began, at = local(1.5e9), local(sent, "%Y-%m-%d %H:%M:%S")
    lines = [text_line(Received(m, None, 0)) for m in (update, end, killed, lasting, days, fresh, ahead, score)]
    assert lines == [
        f"{at}  cam1  UPDATE  peak 1.50  since {began}",
        f"{at}  cam1  END  peak 1.50  lasted 87.5 s from {began}",
        f"{at}  cam1  END  peak 1.50  since {began}  (the monitor was killed meanwhile)",
        f"{at}  cam1  moved  since {began}  it looks elsewhere",
        f"{at}  cam1  moved  since {local(1.5e9 - 2 * 86_400, '%Y-%m-%d %H:%M:%S')}",
        f"{at}  cam1  moved",
        f"{at}  cam1  moved",
        f"{at}  cam1  score -  1.00 s  frame 3  read {began}",
    ]


def test_a_line_ends_in_its_last_words_where_no_reason_is_given() -> None:
    empty = an_alert(reasons=[ReasonBody(term="", value=1.0, usual=1.0, text="")])
    for alert in (empty, an_alert(reasons=()), an_alert(phase=Phase.UPDATE)):
        line = text_line(Received(alert, None, 0))
        assert line.endswith("  peak 1.50")
        assert "None" not in line


def test_text_from_the_wire_cannot_steer_the_terminal() -> None:
    body = HealthMessage(
        schema=1, node="n", epoch="e", seq=1, sent_at=0.0, camera="c\x1b[2J", state="x\r\ny", since=1e300, detail="\x07"
    )
    assert text_line(Received(body, None, 0)).isprintable()


def test_json_lines_hold_the_body_and_gaps() -> None:
    message = an_alert()
    line = json.loads(json_line(Received(message, b"1234", lost=2), "p5"))
    head = {"kind": "alert", "topic": "alert/cam1/", "lost": 2, "jpeg_bytes": 4, "token": "p5"}
    assert line == head | json.loads(encode(message))
    gap = json.loads(json_line(Gap("alert/cam1/", 3, 5)))
    assert gap == {"kind": "gap", "topic": "alert/cam1/", "first": 3, "last": 5}


# The program, in its own process


class ClientProcess:
    """``python -m monitor.client`` with what it prints, each line awaited with a deadline."""

    def __init__(self, *arguments: str) -> None:
        self.publisher: Publisher | None = None
        """Its crank is turned while a line is awaited."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor.client", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._rest = {"stdout": b"", "stderr": b""}

    def line(self, stream: str = "stdout") -> str:
        pipe = getattr(self.process, stream)
        deadline = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest[stream]:
            if self.publisher is not None:
                self.publisher.tick(time.monotonic())
            assert time.monotonic() < deadline, f"no line on {stream} in {DEADLINE_S:g} s"
            if not select.select([pipe], [], [], 0.05)[0]:
                continue
            chunk = pipe.read(65_536)
            assert chunk, f"{stream} ended with {self._rest[stream]!r}"
            self._rest[stream] += chunk
        line, _, self._rest[stream] = self._rest[stream].partition(b"\n")
        return line.decode()

    def end(self) -> tuple[int, str, str]:
        """Exit code, and what was left on stdout and stderr."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, (self._rest["stdout"] + out).decode(), (self._rest["stderr"] + err).decode()


@contextmanager
def client(*arguments: str, publisher: Publisher | None = None) -> Iterator[ClientProcess]:
    program = ClientProcess(*arguments)
    program.publisher = publisher
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


def test_another_process_gets_every_alert_in_order_as_json(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
        client(
            "--endpoint", publisher.alerts_endpoint, "--scores-endpoint", publisher.scores_endpoint,
            "--camera", "cam1", "--health", "--json", "--count", "102", publisher=publisher,
        ) as program,
    ):  # fmt: skip
        await_subscriptions(publisher, "alert/", "health/", "heartbeat/", "score/cam1/")
        for number in range(1, 101):
            publish_alert(publisher, "cam10")
            publish_alert(publisher, "cam1", replace(START, number=number))
        publisher.publish_health("cam1", CameraState.OFFLINE, since=1.5e9)
        publisher.publish_score("cam1", time_s=1.0, frame_index=3, score=float("nan"), captured_at=1.5e9, raw={})
        lines = [json.loads(program.line()) for _ in range(102)]
        code, rest, notes = program.end()
    alerts = [line for line in lines if line["kind"] == "alert"]
    assert [line["seq"] for line in alerts] == list(range(1, 101))
    assert {line["camera"] for line in lines} == {"cam1"}
    assert len({line["event_id"] for line in alerts}) == 100
    assert [line["state"] for line in lines if line["kind"] == "health"] == ["offline"]
    assert [line["score"] for line in lines if line["kind"] == "score"] == [None]
    assert (code, rest, notes) == (0, "", "connected to lab\n")


def test_a_mistyped_camera_is_told_with_those_that_are_known_once_a_run_and_followed_all_the_same(
    tmp_path: Path,
) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        for camera in ("gate", "door"):
            publisher.publish_health(camera, CameraState.ONLINE, since=1.5e9)
        asking = ("--endpoint", publisher.alerts_endpoint, "--camera", "gaet", "--camera", "door", "--count", "1")
        with client(*asking, publisher=publisher) as program:
            assert program.line("stderr") == "connected to lab"
            told = "lab knows no camera gaet: it watches door, gate; waiting for it all the same"
            assert program.line("stderr") == told
            publish_alert(publisher, "gaet")  # added by a reload meanwhile
            assert "gaet" in program.line()
            assert program.end() == (0, "", "")


def test_many_names_stay_one_line() -> None:
    line = text_line(UnknownCamera("lab", ("x", "y"), tuple(f"c{number:02d}" for number in range(30))))
    assert line.startswith("lab knows no cameras x, y: it watches c00, c01, ")
    assert line.endswith("c19 and 10 more; waiting for them all the same")


def test_a_restart_of_the_monitor_is_noticed_and_nothing_is_lost_by_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        first = Publisher(ANY, ANY, ANY, node="lab", journal=journal).__enter__()
        with client("--endpoint", first.alerts_endpoint, "--json", publisher=first) as program:
            await_subscriptions(first, "alert/", "heartbeat/")
            assert program.line("stderr") == "connected to lab"
            for _ in range(2):
                publish_alert(first, event=replace(START, phase=Phase.END, ended_s=12.5))
            assert [json.loads(program.line())["seq"] for _ in range(2)] == [1, 2]
            first.__exit__()
            with Publisher(first.alerts_endpoint, ANY, ANY, node="lab", journal=journal) as second:
                program.publisher = second
                publish_alert(second)  # nobody is connected yet
                line = json.loads(program.line())
                assert (line["seq"], line["epoch"], line["lost"]) == (1, second.epoch, 0)
                assert program.line("stderr") == "lab has restarted"


def test_a_subscriber_that_was_there_first_gets_what_was_sent_before_it_was_connected(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/alerts"
    with (
        AlertSubscriber(endpoint, timeout_s=DEADLINE_S) as subscriber,
        Journal(tmp_path / "j") as journal,
        Publisher(endpoint, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        publish_alert(publisher)  # nobody is connected yet
        publish_alert(publisher, event=replace(START, phase=Phase.END, ended_s=12.5))
        phases: list[Phase] = []
        deadline = time.monotonic() + DEADLINE_S
        while len(phases) < 2 and time.monotonic() < deadline:
            publisher.tick(time.monotonic())
            item = subscriber.next_now()
            if isinstance(item, Received) and isinstance(item.message, AlertMessage):
                phases.append(item.message.phase)
        assert phases == [Phase.START, Phase.END]


def test_what_has_been_is_printed_with_its_pictures_saved_and_a_token_to_go_on_from(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        for number in range(1, 4):
            publish_alert(publisher, event=replace(START, number=number), jpeg=b"\xff\xd8picture")
        asking = ("--endpoint", publisher.alerts_endpoint, "--no-follow", "--json")
        pictures = tmp_path / "pictures"
        with client(*asking, "--since", "2h", "--save-evidence", str(pictures), publisher=publisher) as program:
            lines = [json.loads(program.line()) for _ in range(3)]
            assert program.end()[0] == 0
        with client(*asking, "--since", lines[1]["token"], publisher=publisher) as program:
            assert json.loads(program.line()) == lines[2]
            assert program.end()[:2] == (0, "")
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert sorted(file.name for file in pictures.iterdir()) == [
        f"{publisher.epoch}-cam1-{n}-start.jpg" for n in (1, 2, 3)
    ]
    assert {file.read_bytes() for file in pictures.iterdir()} == {b"\xff\xd8picture"}


def test_text_output_and_a_clean_end_on_ctrl_c() -> None:
    with (
        Publisher(ANY, ANY, node="lab") as publisher,
        client("--endpoint", publisher.alerts_endpoint, publisher=publisher) as program,
    ):
        await_subscriptions(publisher, "alert/", "heartbeat/")
        publish_alert(publisher, event=replace(START, phase=Phase.END, ended_s=12.5))
        line = program.line()
        program.process.send_signal(signal.SIGINT)
        code, _, notes = program.end()
    ending = f"lasted 2.5 s from {local(1.5e9, '%Y-%m-%d %H:%M:%S')}  speed 3 px/frame, usual here up to 1 px/frame"
    assert line.endswith(f"  cam1  END  peak 1.50  {ending}")
    assert code == 0
    assert notes == "connected to lab\nlost messages cannot be had again: this monitor has no history socket\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    with (
        Publisher(ANY, ANY) as publisher,
        client("--endpoint", publisher.alerts_endpoint, "--json", publisher=publisher) as program,
    ):
        await_subscriptions(publisher, "alert/", "heartbeat/")
        publish_alert(publisher)
        assert json.loads(program.line())["seq"] == 1
        assert program.process.stdout is not None
        program.process.stdout.close()
        publish_alert(publisher)
        assert program.process.wait(DEADLINE_S) == 0
        assert program.process.stderr is not None
        assert b"Error" not in program.process.stderr.read()


def test_without_a_monitor_it_says_that_it_waits_goes_on_and_ends_with_1_at_its_timeout() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        endpoint = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        with client("--endpoint", endpoint, "--timeout", "3.3") as program:
            code, out, notes = program.end()
    assert code == 1
    assert out == ""
    waiting, closing = notes.splitlines()
    assert waiting.startswith(f"waiting: nothing heard from {endpoint} for 3 s. Check that a monitor runs there")
    assert closing.startswith(f"no monitor was heard at {endpoint} within 3.3 s: start one with ")


def test_the_end_of_a_timeout_before_anything_was_said_is_one_sentence(tmp_path: Path) -> None:
    with client("--endpoint", f"ipc://{tmp_path}/nobody", "--timeout", "0.2") as program:
        code, out, notes = program.end()
    assert (code, out) == (1, "")
    assert notes.startswith(f"no monitor was heard at ipc://{tmp_path}/nobody within 0.2 s: start one")
    assert notes.count("\n") == 1


def test_a_monitor_that_had_nothing_to_say_is_told_from_none(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
        client("--endpoint", publisher.alerts_endpoint, "--timeout", "2", publisher=publisher) as program,
    ):
        assert program.line("stderr") == "connected to lab"
        closing = f"no message came from {publisher.alerts_endpoint} within 2 s, though a monitor was heard there: "
        assert program.line("stderr").startswith(closing)
        assert program.end() == (1, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--endpoint", "nowhere"),
        ("--camera", "a/b"),
        ("--scores-endpoint", "x"),
        ("--since", "yesterday"),
        ("--keys", "no/such/folder"),
        ("--save-evidence", "/proc/none"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_2(arguments: tuple[str, ...]) -> None:
    with client(*arguments) as program:
        code, out, notes = program.end()
    assert code == 2
    assert out == ""
    assert notes.count("\n") == 1
    assert arguments[1] in notes
