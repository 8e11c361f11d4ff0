"""Coordinator, gateway and nodes over real sockets of this machine, in real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.messages import AlertMessage, encode
from monitor.client import AlertSubscriber, Received
from monitor.errors import RunError
from monitor.machines.coordinator_server import CoordinatorServer
from monitor.machines.fleet_messages import Order, Watching
from monitor.machines.fleet_state import Wish
from monitor.machines.gateway_server import GatewayServer
from monitor.machines.leases import boot_clock
from monitor.machines.node_link import NodeLink
from tests.helpers.alert_messages import an_alert_message
from tests.helpers.publishing import ANY, DEADLINE_S
from tests.monitor.machines.test_gateway_server import TOKEN, open_publisher

WISHES = {f"cam{number}": Wish(source=f"rtsp://cam{number}") for number in range(4)}


@contextmanager
def pumped(thing: Any, before: Callable[[Any], None] = lambda _: None) -> Iterator[Any]:
    """Runs it in a thread of its own until the end; ``thing.halt`` ends it before, as a kill does."""
    entered = threading.Event()
    thing.halt = threading.Event()

    def run() -> None:
        with thing:
            before(thing)
            entered.set()
            while not thing.halt.is_set():
                thing.pump(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(DEADLINE_S)
    try:
        yield thing
    finally:
        thing.halt.set()
        thread.join()


class Instant:
    """An engine that opens a camera at once."""

    def open(self, camera: str, order: Order) -> None:
        pass

    def choose(self, camera: str, order: Order) -> None:
        pass

    def tell(self, camera: str, epoch: int) -> None:
        pass

    def let_go(self, camera: str) -> None:
        pass

    def state_of(self, camera: str) -> Watching:  # noqa: ARG002 - all are alike
        return "watching"


class Node(NodeLink):
    """A node that tells what it is asked to."""

    halt: threading.Event

    def __init__(self, name: str, folder: Path, gateway: str, coordinator: str) -> None:
        super().__init__(name, folder / name, Instant(), gateway, coordinator, TOKEN, capacity_fps=100.0)
        self.to_tell: list[str] = []

    def pump(self, timeout_s: float) -> None:
        super().pump(timeout_s)
        while self.to_tell:
            camera = self.to_tell.pop()
            event = f"{self.name}-{camera}-{time.monotonic_ns()}"
            message = an_alert_message(camera=camera, event_id=event)
            self.tell(camera, message.topic, encode(message), None, boot_clock())


def wait_for(condition: Callable[[], bool], seconds: float = DEADLINE_S) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


class Fleet:
    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.gateway = stack.enter_context(pumped(GatewayServer("lab", folder / "gateway", ANY, TOKEN, open_publisher)))
        server = CoordinatorServer("lab", folder / "coordinator", ANY, self.gateway.socket.endpoint, TOKEN)
        self.server = stack.enter_context(
            pumped(server, lambda it: it.coordinator.set_cameras(WISHES, boot_clock(), time.time()))
        )
        ends = self.gateway.socket.endpoint, self.server.socket.endpoint
        self.nodes = {name: stack.enter_context(pumped(Node(name, folder, *ends))) for name in ("north", "south")}

    def holders(self) -> dict[str, str]:
        """Camera -> the node that may tell its alerts, as the nodes know it."""
        return {
            camera: name
            for name, node in self.nodes.items()
            for camera in WISHES
            if not node.halt.is_set() and node.keeper.lease_of(camera, boot_clock()) is not None
        }


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        running = Fleet(stack, tmp_path)
        wait_for(lambda: running.holders().keys() == WISHES.keys())
        yield running


def test_a_node_is_killed_and_its_cameras_are_watched_elsewhere_within_15_s(fleet: Fleet) -> None:
    found: list[AlertMessage] = []
    endpoint = fleet.gateway.publisher.alerts_endpoint
    holders = fleet.holders()
    victim = holders["cam0"]
    other = "south" if victim == "north" else "north"
    for camera, name in holders.items():
        fleet.nodes[name].to_tell.append(camera)
    fleet.nodes[victim].halt.set()
    assert wait_for(lambda: set(fleet.holders().values()) == {other} and len(fleet.holders()) == 4) < 15.0
    for camera in WISHES:
        fleet.nodes[other].to_tell.append(camera)
    with AlertSubscriber(endpoint, since="1h", timeout_s=DEADLINE_S) as subscriber:
        for item in subscriber:
            if isinstance(item, Received) and isinstance(item.message, AlertMessage):
                found.append(item.message)
            if len({message.event_id for message in found if message.event_id.startswith(other)}) >= 4 + list(
                holders.values()
            ).count(other):
                break
    ids = [message.event_id for message in found if message.phase == "start"]
    assert len(ids) == len(set(ids))
    assert {message.node for message in found} == {"lab"}
    assert {message.lease.node for message in found if message.lease is not None} <= {"north", "south"}


def test_a_drained_node_gives_its_cameras_away(fleet: Fleet) -> None:
    fleet.server.coordinator.drain("north", boot_clock())
    wait_for(lambda: set(fleet.holders().values()) == {"south"} and len(fleet.holders()) == 4)


def test_a_second_coordinator_with_the_same_folder_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    again = CoordinatorServer("lab", tmp_path / "coordinator", ANY, fleet.gateway.socket.endpoint, TOKEN)
    with pytest.raises(RunError, match="in use by another coordinator"), again:
        pass
