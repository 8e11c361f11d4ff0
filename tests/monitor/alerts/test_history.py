from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.history import PAGE_BYTES, PAGE_MESSAGES, Answer, History, HistoryRequest, decode_answer
from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage, MalformedError, encode
from monitor.alerts.publisher import Publisher
from monitor.states import AlertEvent, CameraState, Phase

ANY = "tcp://127.0.0.1:*"
DEADLINE_S = 20.0


def publish_alert(
    publisher: Publisher, camera: str = "cam1", number: int = 1, phase: Phase = Phase.START, jpeg: bytes | None = None
) -> AlertMessage:
    return publisher.publish_alert(
        camera,
        AlertEvent(number, phase, 10.0, 12.5 if phase is Phase.END else None, 1.25, 1.5, 10.5, notify=True),
        started_at=1.5e9,
        ended_at=None,
        model=ModelRef(id="street", hash="ab12"),
        frame_age_s=0.1,
        dropped_frames=0,
        jpeg=jpeg,
    )


def ask(publisher: Publisher, payload: bytes, kind: int = zmq.DEALER) -> Answer:
    """Send a request to the history socket and run the publisher until the reply arrives."""
    assert publisher.history_endpoint is not None
    with zmq.Context() as context, context.socket(kind) as asking:
        asking.linger = 0
        asking.connect(publisher.history_endpoint)
        asking.send(payload)
        deadline = time.monotonic() + DEADLINE_S
        while not asking.poll(10):
            publisher.tick(time.monotonic())
            assert time.monotonic() < deadline, "no reply arrived"
        return decode_answer(asking.recv_multipart())


def request(**fields: Any) -> bytes:
    return encode(HistoryRequest(**({"request": "replay"} | fields)))


@pytest.fixture
def publisher(tmp_path: Path) -> Any:
    with Journal(tmp_path / "j") as journal, Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher:
        yield publisher


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_a_replay_gives_the_very_bytes_that_were_sent(publisher: Publisher, kind: int) -> None:
    first = publish_alert(publisher, jpeg=b"\xff\xd8picture")
    health = publisher.publish_health("cam1", CameraState.STALLED, since=1.5e9)
    answer = ask(publisher, request(after=0, tag="mine"), kind)
    assert [(d.message, d.jpeg) for d in answer.messages] == [(first, b"\xff\xd8picture"), (health, None)]
    head = answer.head
    assert (head.reply, head.tag, head.node, head.epoch) == ("replay", "mine", "lab", publisher.epoch)
    assert (head.position, head.next, head.done) == (health.position, health.position, True)
    assert head.last_seq == {"alert/cam1/": 1, "health/cam1/": 1}


def test_a_large_replay_comes_in_bounded_pages_that_join_without_a_hole(publisher: Publisher) -> None:
    sent = [publish_alert(publisher, number=n, jpeg=bytes(20_000) if n < 100 else None).seq for n in range(1200)]
    got: list[int] = []
    after, pages = 0, 0
    while True:
        answer = ask(publisher, request(after=after))
        assert len(answer.messages) <= PAGE_MESSAGES
        assert sum(len(d.jpeg or b"") for d in answer.messages) <= PAGE_BYTES
        got += [decoded.message.seq for decoded in answer.messages]
        after, pages = answer.head.next, pages + 1
        if answer.head.done:
            break
    assert got == sent
    assert pages >= 4


def test_a_replay_can_be_limited_to_cameras_and_leave_out_pictures(publisher: Publisher) -> None:
    for camera in ("cam1", "cam10", "cam1"):
        publish_alert(publisher, camera, jpeg=b"picture")
    answer = ask(publisher, request(age_s=60.0, topics=("alert/cam1/",), pictures=False, limit=1))
    assert [(d.message.topic, d.message.seq, d.jpeg) for d in answer.messages] == [("alert/cam1/", 1, None)]
    assert not answer.head.done


def test_a_replay_since_a_time_begins_there(publisher: Publisher) -> None:
    publish_alert(publisher)
    middle = time.time()
    second = publish_alert(publisher, "cam2")
    assert [d.message for d in ask(publisher, request(since=middle)).messages] == [second]
    assert ask(publisher, request(since=time.time() + 5)).messages == ()


def test_the_snapshot_holds_the_last_message_of_every_open_event(publisher: Publisher) -> None:
    publish_alert(publisher, "cam1", 1, jpeg=b"picture")
    publish_alert(publisher, "cam1", 1, Phase.END)
    start = publish_alert(publisher, "cam1", 2, jpeg=b"picture")
    publish_alert(publisher, "cam2", 1)
    update = publish_alert(publisher, "cam2", 1, Phase.UPDATE)
    answer = ask(publisher, request(request="snapshot"))
    assert [(d.message, d.jpeg) for d in answer.messages] == [(start, b"picture"), (update, None)]
    assert answer.head.position == update.position
    only = ask(publisher, request(request="snapshot", topics=("alert/cam2/",)))
    assert [d.message for d in only.messages] == [update]


def test_without_a_journal_there_is_a_snapshot_and_no_replay() -> None:
    with Publisher(ANY, ANY, ANY) as publisher:
        start = publish_alert(publisher)
        assert ask(publisher, request(request="snapshot")).messages[0].message == start
        answer = ask(publisher, request(after=0))
        assert (answer.head.reply, answer.head.journal) == ("error", False)
        assert answer.head.error == "this monitor keeps no journal, so it cannot replay"


def test_what_is_no_longer_kept_is_said(publisher: Publisher) -> None:
    publish_alert(publisher)
    assert not ask(publisher, request(after=1)).head.complete
    assert not ask(publisher, request(after=2**60)).head.complete
    assert len(ask(publisher, request(after=2**60)).messages) == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "request: it is no JSON"),
        (b"\xff\x00", "request: it is no JSON"),
        (b"[1]", "request: "),
        (b"{}", "request: it is missing"),
        (b'{"request": "delete"}', "request: it must be 'snapshot' or 'replay'"),
        (b'{"request": "replay", "after": -1}', "after: "),
        (b'{"request": "replay", "since": 1e400}', "since: "),
        (b'{"request": "replay", "limit": 100000}', "limit: "),
        (b'{"request": "replay", "topics": ["' + b"x" * 400 + b'"]}', "topics.0: "),
    ],
)
def test_a_request_that_makes_no_sense_gets_the_reason(publisher: Publisher, payload: bytes, reason: str) -> None:
    answer = ask(publisher, payload)
    assert answer.head.reply == "error"
    assert answer.head.error.startswith(reason)


def test_requests_with_more_of_fewer_parts_or_fields_of_a_newer_client_do_no_harm(publisher: Publisher) -> None:
    publish_alert(publisher)
    assert publisher.history_endpoint is not None
    with zmq.Context() as context, context.socket(zmq.DEALER) as asking:
        asking.linger = 0
        asking.connect(publisher.history_endpoint)
        for parts in ([b""], [b"", b""], [b"a", b"b"], [b"", b"", b"", b""], [b"x" * 70_000]):
            asking.send_multipart(parts)
        for _ in range(20):
            publisher.tick(time.monotonic())
            asking.poll(10)
    answer = ask(publisher, b'{"request": "replay", "after": 0, "colour": "red", "schema": 9}')
    assert len(answer.messages) == 1


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
requests = st.fixed_dictionaries(
    {"request": st.sampled_from(["replay", "snapshot"]) | json_like},
    optional=dict.fromkeys(("after", "since", "age_s", "limit", "topics", "pictures", "tag", "schema"), json_like),
)


@settings(max_examples=12_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 400, deadline=None)
@pytest.mark.timeout(1800 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 120)
@given(
    st.binary(max_size=60)
    | json_like.map(lambda v: json.dumps(v).encode())
    | requests.map(lambda r: json.dumps(r).encode())
)
def test_whatever_is_asked_there_is_a_reply_and_no_crash(payload: bytes) -> None:
    with Journal(Path(":memory:")) as journal:
        history = History("lab", "e1", journal)
        answer = decode_answer(history.answer(payload, time.time()))
        assert answer.head.reply in ("snapshot", "replay", "error")


@given(st.lists(st.binary(max_size=40), max_size=7))
def test_garbage_in_place_of_a_reply_is_malformed(parts: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        decode_answer(parts)


def test_a_client_that_asks_and_never_reads_does_not_hold_up_the_publisher(publisher: Publisher) -> None:
    for number in range(200):
        publish_alert(publisher, number=number, jpeg=bytes(20_000))
    assert publisher.history_endpoint is not None
    with zmq.Context() as context, context.socket(zmq.DEALER) as asking:
        asking.linger = 0
        asking.rcvhwm = 1
        asking.connect(publisher.history_endpoint)
        for _ in range(200):
            asking.send(request(after=0))
        longest = 0.0
        for _ in range(100):
            began = time.monotonic()
            publisher.tick(began)
            longest = max(longest, time.monotonic() - began)
        assert longest < 1.0  # a page takes about 10 ms, a tick stops after 20 ms; the rest is for a busy machine


# Events that were open when the monitor was killed


def killed(journal: Journal, leave: Callable[[Publisher], None]) -> str:
    """A run that ends without closing its events; returns its epoch."""
    with Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher:
        leave(publisher)
        return publisher.epoch


def test_events_left_open_by_a_killed_monitor_are_ended_by_the_next(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:

        def leave(publisher: Publisher) -> None:
            publish_alert(publisher, "cam1", 1)
            publish_alert(publisher, "cam1", 1, Phase.END)
            publish_alert(publisher, "cam1", 2)
            publish_alert(publisher, "cam2", 1)
            publish_alert(publisher, "cam2", 1, Phase.UPDATE)

        epoch = killed(journal, leave)
    with Journal(tmp_path / "j") as journal, Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher:
        assert ask(publisher, request(request="snapshot")).messages == ()
        ends = [d.message for d in ask(publisher, request(age_s=60.0)).messages if d.message.epoch == publisher.epoch]
    assert all(isinstance(end, AlertMessage) for end in ends)
    told = [
        (end.event_id, end.phase, end.seq, end.interrupted, end.ended_s)
        for end in ends
        if isinstance(end, AlertMessage)
    ]
    assert told == [
        (f"{epoch}-cam1-2", Phase.END, 1, True, None),
        (f"{epoch}-cam2-1", Phase.END, 1, True, None),
    ]
    for end in ends:
        assert isinstance(end, AlertMessage)
        assert end.ended_at is not None
        assert abs(end.ended_at - time.time()) < 60
    with Journal(tmp_path / "j") as journal:
        assert journal.open_events() == []


def test_a_run_that_closed_its_events_leaves_nothing_to_end(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:

        def leave(publisher: Publisher) -> None:
            for phase in Phase:
                publish_alert(publisher, phase=phase)

        killed(journal, leave)
        with Publisher(ANY, ANY, ANY, journal=journal) as publisher:
            answer = ask(publisher, request(age_s=60.0))
            assert [d.message.epoch for d in answer.messages if d.message.epoch == publisher.epoch] == []
