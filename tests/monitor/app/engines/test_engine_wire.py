"""Messages over the socket of an engine: whole, in order, and neither end waits."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from monitor.app.engines import engine_wire
from monitor.app.engines.engine_wire import Wire


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    first, second = (Wire(end) for end in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def test_messages_arrive_whole_and_in_order_although_the_socket_is_full_long_before(ends: tuple[Wire, Wire]) -> None:
    first, second = ends
    sent = [bytes([number]) * 700_000 for number in range(5)]
    for message in sent:
        first.send(message)
    assert first.behind
    received: list[object] = []
    while len(received) < len(sent):
        first.flush()
        received += second.receive()
    assert received == sent
    assert not first.behind


def test_what_may_be_lost_is_dropped_if_the_other_end_is_too_slow_and_the_rest_is_not(
    ends: tuple[Wire, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_wire, "MOST_WAITING", 1_000_000)
    first, second = ends
    first.send(bytes(5_000_000))
    first.send("a score", droppable=True)
    first.send("an alert")
    assert first.dropped == 1
    received: list[object] = []
    while len(received) < 2:
        first.flush()
        received += second.receive()
    assert received[1] == "an alert"


def test_what_a_killed_end_had_sent_still_arrives_before_its_end_is_seen(ends: tuple[Wire, Wire]) -> None:
    first, second = ends
    first.send("the last alert")
    first.close()
    received: list[object] = []
    while not second.ended:
        second.wait(1.0)
        received += second.receive()
    assert received == ["the last alert"]
    second.send("too late")  # nothing happens
    assert second.drain(1.0)
