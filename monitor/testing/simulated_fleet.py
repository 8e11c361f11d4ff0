"""A fleet of simulated nodes, on a simulated clock and network: real leases, coordinator, journals and gateway.

Only engines, the network and time are stand-ins. In each camera something happens now and then, for a moment. A node
that watches the camera then, with a lease, writes an alert into its journal. So it is known what must be told, and
that nothing may be told twice. Faults are injected by the methods of ``SimulatedFleet``.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage, encode
from monitor.alerts.publisher import Publisher
from monitor.machines.fleet_coordinator import Coordinator
from monitor.machines.fleet_messages import Fence, Fenced, Granted, Order, Renewal, StepHead, Taken, Watching
from monitor.machines.fleet_state import FleetState, Wish
from monitor.machines.gateway_desk import GatewayDesk
from monitor.machines.gateway_ledger import Ledger
from monitor.machines.leases import LEASE_S
from monitor.machines.node_keeper import NodeKeeper
from monitor.machines.step_journal import Step, StepJournal
from monitor.machines.step_sender import StepSender
from monitor.states import Phase

GATEWAY, COORDINATOR = "gateway", "coordinator"
TICK_S = 0.25
"""Nodes and the gateway look this often; the coordinator at every second look."""
EVENT_S = 1.0
LOOK_S = 0.1
"""Who watches is looked at this often."""
_ANY = "tcp://127.0.0.1:*"
EPOCH_UNIX = 1_700_000_000.0


class World:
    """The clock and the network."""

    def __init__(self, seed: int) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._cut: set[frozenset[str]] = set()
        self._arrives: dict[tuple[str, str], float] = {}
        self.messages = 0

    @property
    def unix(self) -> float:
        """The time of day."""
        return EPOCH_UNIX + self.now

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._due, (when, next(self._count), do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now + seconds, do)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()
        self.now = until

    def cut(self, one: str, other: str) -> None:
        """No message passes between the two any more."""
        self._cut.add(frozenset((one, other)))

    def mend(self, one: str, other: str) -> None:
        """Messages pass again."""
        self._cut.discard(frozenset((one, other)))

    def is_cut(self, one: str, other: str) -> bool:
        """Whether no message passes."""
        return frozenset((one, other)) in self._cut

    def send(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """A message: in order per pair, 1 to 20 ms late, lost if the two are cut off when it is sent or arrives."""
        if self.is_cut(source, target):
            return
        self.messages += 1
        when = max(self.now + self.random.uniform(0.001, 0.02), self._arrives.get((source, target), 0.0))
        self._arrives[source, target] = when
        self.at(when, lambda: None if self.is_cut(source, target) else deliver())


class _Disk(StepJournal):
    """A journal with a disk that can be taken away."""

    away = False

    def _store(self, step: Step) -> None:
        self._look()
        super()._store(step)

    def page(self, after: int, limit: int = 100) -> list[Step]:
        """See StepJournal."""
        self._look()
        return super().page(after, limit)

    def taken(self, positions: Iterable[int]) -> None:
        """See StepJournal."""
        self._look()
        super().taken(list(positions))

    def _look(self) -> None:
        if self.away:
            raise sqlite3.OperationalError("disk I/O error")


class MemoryState:
    """The state of a coordinator, without a file. failing: whether ``save`` raises OSError, as without a disk."""

    def __init__(self, fleet: str) -> None:
        self.fleet, self.failing, self.saves = fleet, False, 0
        self._kept: Mapping[str, Any] = {"fleet": fleet}

    def load(self) -> FleetState:
        """What was stored last."""
        return FleetState.model_validate(self._kept)

    def save(self, state: FleetState) -> None:
        """Store it."""
        if self.failing:
            raise OSError(5, "Input/output error")
        self.saves += 1
        self._kept = dict(state)


class SimulatedNode:
    """A machine: an engine that needs some seconds to open a camera, a keeper, a journal and a sender."""

    def __init__(self, fleet: SimulatedFleet, name: str, capacity_fps: float, labels: dict[str, str]) -> None:
        self.fleet, self.name, self.capacity_fps, self.labels = fleet, name, capacity_fps, labels
        self.alive = self.frozen = False
        self.unreachable: set[str] = set()
        self._boots = 0
        self._inbox: list[Callable[[], None]] = []

    def start(self) -> None:
        """The machine starts, with the disk that it had."""
        world = self.fleet.world
        self._boots += 1
        self.alive, self.frozen = True, False
        self.boot = f"{self.name}-{self._boots}"
        self._opened: dict[str, float] = {}
        self._events: dict[str, str] = {}
        self.journal = _Disk(self.fleet.folder / f"{self.name}.sqlite3", power_safe=False)
        self.journal.__enter__()
        self.sender = StepSender(self.journal, self.name, self.boot, self._send_step)
        self.keeper = NodeKeeper(
            self.name, self.boot, self, capacity_fps=self.capacity_fps, labels=self.labels, version="1"
        )
        boot = self._boots
        world.after(world.random.uniform(0, TICK_S), lambda: self._tick(boot))

    def kill(self) -> None:
        """The machine loses power; its disk stays as it is."""
        if self.alive:
            self.alive = False
            self._inbox.clear()
            self.journal.__exit__()

    def bring_disk_back(self) -> None:
        """The disk of the node can be used again."""
        self.journal.away = False

    def freeze(self) -> None:
        """Nothing runs on the machine any more, as after SIGSTOP."""
        self.frozen = True

    def resume(self) -> None:
        """It goes on, a zombie if it has lost its leases meanwhile: it looks at its clock only a moment later."""
        if not (self.alive and self.frozen):
            return
        self.frozen = False
        for camera in list(self._opened):
            self.fleet.happen(camera)
        inbox, self._inbox = self._inbox, []
        for deliver in inbox:
            deliver()

    def receive(self, deliver: Callable[[], None]) -> None:
        """A message has come."""
        if not self.alive:
            return
        if self.frozen:
            self._inbox.append(deliver)
        else:
            deliver()

    def watches(self, camera: str) -> bool:
        """Whether what happens in the camera now would be told, and count."""
        if not self.alive or self.frozen or self.state_of(camera) != "watching":
            return False
        lease = self.keeper.lease_of(camera, self.fleet.world.now)
        return lease is not None and lease[1] <= LEASE_S

    def see(self, camera: str, number: int) -> None:
        """Something happens in a camera."""
        if not self.alive or self.frozen or camera not in self._opened or self.state_of(camera) != "watching":
            return
        lease = self.keeper.lease_of(camera, self.fleet.world.now)
        if lease is None or camera in self._events:
            return
        event_id = f"{self.boot}-{camera}-{number}"
        self._events[camera] = event_id
        self._tell(camera, event_id, Phase.START, *lease)
        boot = self._boots
        self.fleet.world.after(EVENT_S, lambda: self._end(boot, camera, event_id))

    # The engine

    def open(self, camera: str, order: Order) -> None:  # noqa: ARG002 - every camera is alike
        """See Engine."""
        self._opened[camera] = self.fleet.world.now + self.fleet.world.random.uniform(1.0, 4.0)

    def choose(self, camera: str, order: Order) -> None:
        """See Engine."""

    def tell(self, camera: str, epoch: int) -> None:
        """See Engine."""

    def let_go(self, camera: str) -> None:
        """See Engine."""
        lease = self.keeper.lease_of(camera, self.fleet.world.now)
        if (event_id := self._events.pop(camera, None)) is not None and lease is not None:
            self._tell(camera, event_id, Phase.END, *lease)
        self._opened.pop(camera, None)

    def state_of(self, camera: str) -> Watching:
        """See Engine."""
        if camera in self.unreachable:
            return "failed"
        return "watching" if self.fleet.world.now >= self._opened.get(camera, float("inf")) else "opening"

    # Inside

    def _end(self, boot: int, camera: str, event_id: str) -> None:
        if self._boots != boot or not self.alive or self._events.get(camera) != event_id:
            return
        if self.frozen:
            self._inbox.append(lambda: self._end(boot, camera, event_id))
            return
        lease = self.keeper.lease_of(camera, self.fleet.world.now)
        if lease is not None:
            del self._events[camera]
            self._tell(camera, event_id, Phase.END, *lease)

    def _tell(self, camera: str, event_id: str, phase: Phase, epoch: int, age_s: float) -> None:
        body = encode(alert_of(self.name, camera, event_id, phase, self.fleet.world.unix))
        step, stored = self.journal.append(camera, epoch, age_s, f"alert/{camera}/", body)
        if phase is Phase.START:
            if age_s > LEASE_S:
                self.fleet.told_by_zombies.add(event_id)
            elif stored:
                self.fleet.journalled.add(event_id)
        self.sender.offer(step)

    def _tick(self, boot: int) -> None:
        world = self.fleet.world
        if not self.alive or self._boots != boot:
            return
        world.after(TICK_S, lambda: self._tick(boot))
        if self.frozen:
            return
        self.keeper.tick(world.now)
        self._renew_if_due()
        self.sender.tick(world.now)

    def _renew_if_due(self) -> None:
        world = self.fleet.world
        if self.keeper.due(world.now):
            renewal = self.keeper.renewal(world.now)
            world.send(self.name, GATEWAY, lambda: self.fleet.renew_at_gateway(self, renewal))
            world.send(self.name, COORDINATOR, lambda: self.fleet.renew_at_coordinator(self, renewal))

    def _send_step(self, head: StepHead, step: Step) -> None:
        self.fleet.world.send(self.name, GATEWAY, lambda: self.fleet.step_at_gateway(self, head, step))

    def granted(self, boot: str, reply: Granted) -> None:
        """A voter's reply has come."""
        if boot == self.boot:
            self.keeper.granted(reply, self.fleet.world.now)
            self._renew_if_due()

    def taken(self, reply: Taken) -> None:
        """An answer to steps has come."""
        self.sender.taken(reply, self.fleet.world.now)


@dataclass
class Watched:
    """What was seen of a camera. blind_s: time without anybody who watches; since: when that began."""

    blind_s: float = 0.0
    since: float | None = None
    doubly_s: float = 0.0
    waits: list[tuple[float, float]] = field(default_factory=list)  # when it began, how long it was


class SimulatedFleet:
    """A context manager around all of it.

    folder   for journals of nodes and the gateway
    cameras  their number; nodes: theirs, with room for the cameras of three that are away
    pace_s   mean time between two happenings in one camera, seconds
    """

    def __init__(self, folder: Path, *, cameras: int = 40, nodes: int = 8, seed: int = 1, pace_s: float = 15.0) -> None:
        self.folder, self.world, self._pace_s = folder, World(seed), pace_s
        self.cameras = [f"cam{number}" for number in range(cameras)]
        capacity = cameras * 10.0 / max(1, nodes - 3) * 1.5
        self.nodes = {
            name: SimulatedNode(self, name, capacity, {"site": "here"})
            for name in (f"node{number}" for number in range(nodes))
        }
        self.store = MemoryState("lab")
        self.coordinator: Coordinator | None = None
        self.desk: GatewayDesk | None = None
        self.journalled: set[str] = set()
        """Events that began under a lease, and are in the journal of a node."""
        self.told_by_zombies: set[str] = set()
        """Events that began when the lease was over."""
        self.happened = 0
        self.quiet = False
        """True: nothing happens any more."""
        self.counts: dict[str, int] = defaultdict(int)
        """Verdicts of all gateways, one after the other."""
        self.watched = {camera: Watched() for camera in self.cameras}

    def __enter__(self) -> SimulatedFleet:
        self.start_gateway()
        self.start_coordinator()
        wishes = {camera: Wish(source=f"rtsp://{camera}", needs={"site": "here"}) for camera in self.cameras}
        assert self.coordinator is not None
        self.coordinator.set_cameras(wishes, self.world.now, self.world.unix)
        for node in self.nodes.values():
            node.start()
        for camera in self.cameras:
            self._next_happening(camera)
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.kill()
        self.kill_gateway()

    # Happenings

    def happen(self, camera: str) -> None:
        """Something happens in a camera now."""
        self.happened += 1
        for node in self.nodes.values():
            node.see(camera, self.happened)

    def _next_happening(self, camera: str) -> None:
        def now() -> None:
            if not self.quiet:
                self.happen(camera)
            self._next_happening(camera)

        self.world.after(self.world.random.expovariate(1 / self._pace_s), now)

    def _look(self) -> None:
        """Note who watches."""
        self.world.after(LOOK_S, self._look)
        for camera, watched in self.watched.items():
            watching = sum(node.watches(camera) for node in self.nodes.values())
            watched.doubly_s += LOOK_S * (watching > 1)
            if watching:
                if watched.since is not None:
                    watched.waits.append((watched.since, self.world.now - watched.since))
                watched.since = None
            else:
                watched.blind_s += LOOK_S
                watched.since = self.world.now if watched.since is None else watched.since

    # The gateway

    def start_gateway(self) -> None:
        """Start it, with the journal and the ledger that it had."""
        self._stack = stack = ExitStack()
        journal = stack.enter_context(Journal(self.folder / "gateway.sqlite3"))
        publisher = stack.enter_context(Publisher(_ANY, _ANY, node="lab", journal=journal, carries=True))
        ledger = Ledger.open(self.folder / "gateway.json", "lab", journal)
        self.desk = GatewayDesk(publisher, journal, ledger, self.world.now, lambda: self.world.unix)
        self._gateway_tick(self.desk)

    def kill_gateway(self) -> None:
        """It is killed: the ledger stays as it was saved last."""
        if self.desk is not None:
            for verdict, count in self.desk.counts.items():
                self.counts[verdict] += count
            self.desk = None
            self._stack.close()

    def _gateway_tick(self, desk: GatewayDesk) -> None:
        if self.desk is desk:
            desk.tick(self.world.now)
            self.world.after(TICK_S, lambda: self._gateway_tick(desk))

    def renew_at_gateway(self, node: SimulatedNode, renewal: Renewal) -> None:
        """A renewal has come to the gateway."""
        if self.desk is not None:
            self._reply(GATEWAY, node, renewal.boot, self.desk.renew(renewal, self.world.now))

    def step_at_gateway(self, node: SimulatedNode, head: StepHead, step: Step) -> None:
        """A step has come to the gateway."""
        if self.desk is not None:
            parts = [step.topic.encode(), step.body]
            reply = self.desk.arrived(head, parts, self.world.now)
            self.world.send(GATEWAY, node.name, lambda: node.receive(lambda: node.taken(reply)))

    def _reply(self, source: str, node: SimulatedNode, boot: str, reply: Granted) -> None:
        self.world.send(source, node.name, lambda: node.receive(lambda: node.granted(boot, reply)))

    # The coordinator

    def start_coordinator(self) -> None:
        """Start it, with the state that was stored."""
        self.coordinator = Coordinator(self.store, self.world.now)
        self._boots: dict[str, str] = {}
        self._coordinator_tick(self.coordinator)

    def bring_disk_back(self) -> None:
        """The disk of the coordinator can be used again."""
        self.store.failing = False

    def kill_coordinator(self) -> None:
        """It is killed."""
        self.coordinator = None

    def _coordinator_tick(self, coordinator: Coordinator) -> None:
        if self.coordinator is not coordinator:
            return
        self.world.after(2 * TICK_S, lambda: self._coordinator_tick(coordinator))
        self._decide(coordinator)

    def _decide(self, coordinator: Coordinator) -> None:
        coordinator.step(self.world.now)
        asked = coordinator.fence_request()
        self.world.send(COORDINATOR, GATEWAY, lambda: self._fence(coordinator, asked))
        for name, reply in coordinator.pushes(self.world.now).items():
            self._reply(COORDINATOR, self.nodes[name], self._boots[name], reply)
            self.world.send(COORDINATOR, GATEWAY, partial(self._pass_on, self.nodes[name], self._boots[name], reply))

    def _pass_on(self, node: SimulatedNode, boot: str, reply: Granted) -> None:
        if self.desk is not None:
            self._reply(GATEWAY, node, boot, reply)

    def _fence(self, coordinator: Coordinator, asked: Fence) -> None:
        if self.desk is not None and (reply := self.desk.fence(asked, self.world.now)) is not None:
            self.world.send(GATEWAY, COORDINATOR, lambda: self._fenced(coordinator, asked, reply))

    def _fenced(self, coordinator: Coordinator, asked: Fence, reply: Fenced) -> None:
        if self.coordinator is coordinator:
            coordinator.fenced(asked, reply, self.world.now)
            self._if_urgent(coordinator)

    def renew_at_coordinator(self, node: SimulatedNode, renewal: Renewal) -> None:
        """A renewal has come to the coordinator."""
        if self.coordinator is not None:
            self._boots[renewal.node] = renewal.boot
            reply = self.coordinator.renew(renewal, self.world.now, self.world.unix)
            self._reply(COORDINATOR, node, renewal.boot, reply)
            self._if_urgent(self.coordinator)

    def _if_urgent(self, coordinator: Coordinator) -> None:
        if coordinator.urgent:
            self._decide(coordinator)

    # Results

    @property
    def all_watched(self) -> bool:
        """Whether every camera is watched now."""
        return all(any(node.watches(camera) for node in self.nodes.values()) for camera in self.cameras)

    @property
    def at_rest(self) -> bool:
        """Whether every camera is watched, and none moves."""
        if self.coordinator is None or not self.all_watched:
            return False
        return not any(camera.next_node for camera in self.coordinator.status(self.world.now, self.world.unix).cameras)

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> float:
        """Let time pass until a condition holds. Returns the seconds. Raises TimeoutError."""
        began = self.world.now
        while not condition():
            if self.world.now - began > limit_s:
                raise TimeoutError(f"not within {limit_s:g} s")
            self.world.run(self.world.now + LOOK_S)
        return self.world.now - began

    def told(self) -> list[AlertMessage]:
        """All alerts in the gateway's journal. Ends the gateway."""
        self.kill_gateway()
        found = []
        with Journal(self.folder / "gateway.sqlite3") as journal:
            after, done = 0, False
            while not done:
                page = journal.page(after, ("alert/",), limit=500, max_bytes=10_000_000)
                found += [AlertMessage.model_validate_json(entry.body) for entry in page.entries]
                after, done = page.next, page.done
        return found


def alert_of(node: str, camera: str, event_id: str, phase: Phase, unix_s: float) -> AlertMessage:
    """The message of an event, as the monitor of a node publishes it."""
    ended = phase is Phase.END
    return AlertMessage(
        schema=1,
        node=node,
        epoch="e",
        seq=1,
        sent_at=unix_s,
        event_id=event_id,
        phase=phase,
        camera=camera,
        started_at=unix_s,
        ended_at=unix_s if ended else None,
        started_s=0.0,
        ended_s=1.0 if ended else None,
        score=1.5,
        peak_score=1.5,
        expected_false_alarms_per_day=None,
        notify=True,
        model=ModelRef(id="m@1", hash="1"),
        frame_age_s=0.1,
        dropped_frames=0,
    )
