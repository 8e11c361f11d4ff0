"""The bus on real sockets: what hostile and broken peers do to it, and to an honest subscriber."""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import zmq

from monitor.alerts.binding import listen
from monitor.alerts.bus import exchange, hub
from monitor.alerts.bus.doors import BURST, RATE, Connection, Door
from monitor.alerts.bus.mechanisms import NullMechanism
from monitor.alerts.bus.roles import Subscriber
from monitor.alerts.bus.zmtp import encode_command, encode_frame
from monitor.alerts.journal import Journal
from monitor.alerts.keys import ServerKeys, make_keys
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber
from tests.helpers.publishing import ANY, DEADLINE_S, await_subscriptions, publish_alert
from tests.helpers.raw_peer import RawPeer, hello, subscription

REPLAY = encode_frame(b'{"request": "replay", "after": 0}')


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Journal(tmp_path / "j") as journal, Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher:
        yield publisher


@contextmanager
def honest(publisher: Publisher) -> Iterator[zmq.Socket[bytes]]:
    """A subscriber with a library, which the publisher knows."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.rcvtimeo = int(DEADLINE_S * 1000)
        sub.subscribe("alert/honest/")
        sub.connect(publisher.alerts_endpoint)
        await_subscriptions(publisher, "alert/honest/")
        yield sub


def served(publisher: Publisher, sub: zmq.Socket[bytes], count: int = 20) -> float:
    """Publish and receive alerts; returns the longest time that one took, seconds."""
    longest = 0.0
    for _ in range(count):
        began = time.monotonic()
        sent = publish_alert(publisher, "honest")
        assert json.loads(sub.recv_multipart()[1])["seq"] == sent.seq
        longest = max(longest, time.monotonic() - began)
        publisher.tick(time.monotonic())
    return longest


def said(publisher: Publisher, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not re.search(reason, caplog.text):
        assert time.monotonic() < deadline, caplog.text
        publisher.update_subscriptions(0.01)


@contextmanager
def pouring(endpoint: str, first: bytes, data: bytes) -> Iterator[None]:
    """A peer that sends the data again and again, and connects again if it is disconnected."""
    ended = threading.Event()

    def pour() -> None:
        while not ended.is_set():
            with suppress(OSError), RawPeer(endpoint, first) as peer:
                peer.socket.settimeout(0.05)
                while not ended.is_set():
                    with suppress(TimeoutError):
                        peer.send(data)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


TOGGLE = subscription(b"heartbeat/") + encode_frame(b"\x00heartbeat/")
PING = encode_frame(encode_command("PING", b"\0\0context"), command=True)


@pytest.mark.parametrize(
    ("first", "data"),
    [
        (hello(), TOGGLE * 2000),
        (hello(), b"".join(subscription(b"%d" % number) for number in range(3000))),
        (hello(), subscription(b"x" * 60_000) * 10),
        (hello(), PING * 3000),
        (b"", b"\xff\0garbage" * 5000),
        (hello(), encode_frame(b"no part is the last", more=True) * 3000),
        (hello(), encode_frame(encode_command("NEWS", b"x" * 200), command=True) * 300),
    ],
    ids=["toggles", "many topics", "long topics", "pings", "garbage", "endless message", "unknown commands"],
)
def test_a_peer_that_floods_delays_no_alert(publisher: Publisher, first: bytes, data: bytes) -> None:
    with honest(publisher) as sub, pouring(publisher.alerts_endpoint, first, data):
        served(publisher, sub, 5)
        assert served(publisher, sub) < 1.0  # a few milliseconds; the rest is for a busy machine


def test_reading_takes_a_bounded_share_of_the_processor(publisher: Publisher) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(pouring(publisher.alerts_endpoint, hello(), TOGGLE * 2000))
        before = spent = hub_cpu_s()
        ends_at = time.monotonic() + 0.6
        while time.monotonic() < ends_at:
            publisher.update_subscriptions(0.01)
        spent = hub_cpu_s() - before
    assert spent < 0.3


def hub_cpu_s() -> float:
    """Processor time of the bus's thread so far, seconds."""
    (thread,) = (each for each in threading.enumerate() if each.name == "bus")
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))


def test_a_client_that_asks_for_200_replays_and_dies_takes_nothing_with_it(publisher: Publisher) -> None:
    for _ in range(6):
        publish_alert(publisher, jpeg=bytes(200_000))
    assert publisher.history_endpoint is not None
    with honest(publisher) as sub:
        for _ in range(3):
            asking = RawPeer(publisher.history_endpoint, hello("DEALER") + REPLAY * 200 + PING)
            publisher.tick(time.monotonic())
            served(publisher, sub, 3)
            asking.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asking.socket.close()  # the kernel resets the connection
            served(publisher, sub, 3)
        with RawPeer(publisher.history_endpoint, hello("DEALER") + REPLAY) as asking:
            answers: list[list[bytes]] = []
            reading = threading.Thread(target=lambda: answers.append(asking.message()))
            reading.start()
            while reading.is_alive():
                publisher.tick(time.monotonic())
                reading.join(0.01)
    assert json.loads(answers[0][0])["reply"] == "replay"


def test_a_client_that_asks_and_never_reads_gets_one_reply_and_no_more_memory(publisher: Publisher) -> None:
    for _ in range(6):
        publish_alert(publisher, jpeg=bytes(200_000))
    assert publisher.history_endpoint is not None
    with RawPeer(publisher.history_endpoint) as asking:
        asking.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking.send(hello("DEALER") + REPLAY * 200)
        answered = 0
        answer = publisher._history.answer

        def counted(payload: bytes, unix_s: float) -> list[bytes]:
            nonlocal answered
            answered += 1
            return answer(payload, unix_s)

        publisher._history.answer = counted  # type: ignore[method-assign]
        ends_at = time.monotonic() + 0.5
        while time.monotonic() < ends_at:
            publisher.tick(time.monotonic())
            publisher.update_subscriptions(0.01)
    # The kernel's own buffers may take a few pages.
    assert 1 <= answered < 20


def test_peers_that_do_not_read_are_disconnected_when_memory_is_short(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(exchange, "MAX_WAITING_BYTES", 5_000_000)
    with honest(publisher) as sub, ExitStack() as stack:
        for _ in range(5):
            deaf = stack.enter_context(RawPeer(publisher.alerts_endpoint))
            deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.send(hello() + subscription(b"alert/loud/"))
        await_subscriptions(publisher, "alert/loud/")
        for _ in range(100):
            publish_alert(publisher, "loud", jpeg=bytes(200_000))
        said(publisher, caplog, "it does not read its messages")
        served(publisher, sub, 3)


def test_a_peer_that_reads_nothing_for_long_is_disconnected(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "STALLED_S", 0.2)
    with RawPeer(publisher.alerts_endpoint) as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.send(hello() + subscription(b"alert/loud/"))
        await_subscriptions(publisher, "alert/loud/")
        for _ in range(60):
            publish_alert(publisher, "loud", jpeg=bytes(200_000))
        said(publisher, caplog, "it does not read its messages")


def test_silent_connections_do_not_keep_an_honest_client_out(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MAX_PEERS", 4)
    with ExitStack() as stack:
        silent = [stack.enter_context(RawPeer(publisher.alerts_endpoint)) for _ in range(20)]
        assert silent[0].closed()
        with honest(publisher) as sub:
            served(publisher, sub, 3)
            more = [stack.enter_context(RawPeer(publisher.alerts_endpoint)) for _ in range(20)]
            assert more[0].closed()
            served(publisher, sub, 3)


def test_more_clients_than_there_is_room_for_are_refused_and_said(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "MAX_PEERS", 2)
    with ExitStack() as stack:
        for topic in (b"a/", b"b/"):
            stack.enter_context(RawPeer(publisher.alerts_endpoint, hello() + subscription(topic)))
        await_subscriptions(publisher, "a/", "b/")
        with RawPeer(publisher.alerts_endpoint) as third:
            assert third.closed()
    said(publisher, caplog, "2 clients are connected to tcp://127.0.0.1:.* already")


def test_a_handshake_that_does_not_end_is_ended(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "HANDSHAKE_S", 0.1)
    with RawPeer(publisher.alerts_endpoint, hello()[:70]) as slow:
        assert slow.closed()
    said(publisher, caplog, "refused a client at 127.0.0.1: it did not complete the handshake")


def test_a_fault_that_one_peer_meets_ends_this_peer_only(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with honest(publisher) as sub:
        broken = Subscriber._leave
        monkeypatch.setattr(Subscriber, "_leave", lambda _peer, _topic: 1 / 0)
        with RawPeer(publisher.alerts_endpoint, hello() + encode_frame(b"\x00x")) as peer:
            assert peer.closed()
        monkeypatch.setattr(Subscriber, "_leave", broken)
        served(publisher, sub, 3)
    assert "is disconnected, because serving it failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_client_on_the_wrong_socket_is_told_apart(publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    assert publisher.history_endpoint is not None
    with RawPeer(publisher.history_endpoint, hello("SUB")) as peer:
        assert peer.closed()
    said(publisher, caplog, "wrong type for this address: use DEALER or REQ or ROUTER")


def test_a_disk_that_hangs_while_keys_are_looked_up_holds_up_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_keys(tmp_path)
    asked, answered = threading.Event(), threading.Event()

    def hang(_keys: ServerKeys, _key: bytes) -> str:
        asked.set()
        assert answered.wait(DEADLINE_S)
        return "client"

    monkeypatch.setattr(ServerKeys, "name_of", hang)
    with (
        Publisher(ANY, ANY, keys=tmp_path / "monitor") as publisher,
        AlertSubscriber(publisher.alerts_endpoint, keys=tmp_path / "client"),
    ):
        assert asked.wait(DEADLINE_S)
        publish_alert(publisher)  # returns although the thread of the bus waits
        answered.set()


def test_nobody_can_fill_the_log(publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            with RawPeer(publisher.alerts_endpoint, b"GET / HTTP/1.1\r\n\r\n") as peer:
                assert peer.closed()
    assert len(caplog.records) == 1


def a_connection(door: Door, stack: ExitStack, address: str = "here", now: float = 100.0) -> Connection:
    here, there = socket.socketpair()
    stack.enter_context(there)
    return Connection(stack.enter_context(here), door, Subscriber(address, NullMechanism({}), 1), now)


@pytest.fixture
def door() -> Iterator[Door]:
    listener = listen(ANY)
    yield Door(listener, lambda address: Subscriber(address, NullMechanism({}), 1))
    listener.close()


def test_the_share_of_a_peer_comes_back_with_time(door: Door) -> None:
    with ExitStack() as stack:
        limited = a_connection(door, stack)
        limited.spend(BURST, 100.0)
        assert limited.read_again_at <= 100.0
        limited.spend(RATE, 100.0)
        assert limited.read_again_at == pytest.approx(101.0)
        limited.spend(100, 1000.0)
        assert limited.read_again_at <= 1000.0


def test_the_machine_with_most_connections_makes_room_for_another(door: Door) -> None:
    with ExitStack() as stack:
        for now, address in enumerate(["greedy"] * 5 + ["quiet"]):
            each = a_connection(door, stack, address, float(now))
            each.peer.take(hello() + subscription(b"alert/"))
            door.connections.append(each)
        assert door.crowded_by("new") is door.connections[4]
        assert door.crowded_by("quiet") is door.connections[4]
        assert door.crowded_by("greedy") is None
        door.connections[3].peer.take(encode_frame(b"\x00alert/"))  # now it waits for nothing
        assert door.crowded_by("greedy") is door.connections[3]
        door.connections[5].peer.ready = False
        assert door.crowded_by("greedy") is door.connections[5]
