"""Random faults for a simulated fleet, and what became of its alerts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.machines.fleet_status import CameraStatus
from monitor.machines.leases import LEASE_S
from monitor.states import Phase
from monitor.testing.simulated_fleet import COORDINATOR, GATEWAY, SimulatedFleet, SimulatedNode

MOST_AWAY = 3
"""Nodes that may be away at the same time."""
FAULTS = (
    "node killed",
    "node frozen",
    "node cut off",
    "node cut off from the gateway",
    "node cut off from the coordinator",
    "gateway cut off from the coordinator",
    "disk of a node away",
    "disk of the coordinator away",
    "coordinator killed",
    "gateway killed",
)


_HAMPERING = (COORDINATOR, GATEWAY, "gateway cut off from the coordinator", "disk of the coordinator away")


@dataclass(frozen=True)
class Outcome:
    """What a soak found.

    happened     happenings in all cameras; told: those of which clients were told
    twice        happenings of which clients were told twice, as two events or two starts of one
    lost         events that were journalled under a lease, and never told
    zombies      events of nodes that had lost their lease; sole: those that were told, as no other node had the camera
    unended      events that were told and never ended
    doubly_s     seconds in which two nodes watched one camera with a lease
    watched      share of the time that was watched, over all cameras; counted: as the coordinator counts it
    kill_s       per node killed: seconds until all cameras were watched, if no other fault was near
    wait_s       all waits of cameras until they were watched again
    plain_s      those of them during which coordinator and gateway could work together
    verdicts     what the gateway did with steps
    faults       what was injected
    """

    simulated_s: float
    happened: int
    told: int
    twice: int
    lost: int
    zombies: int
    sole: int
    unended: int
    doubly_s: float
    watched: float
    counted: float
    kill_s: Sequence[float]
    wait_s: Sequence[float]
    plain_s: Sequence[float]
    verdicts: Counter[str]
    faults: Counter[str]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; NaN without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


class Faults:
    """Injects faults one after the other; each lasts for a while, so some overlap."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet, self._random = fleet, fleet.world.random
        self.injected: Counter[str] = Counter()
        self._busy: set[str] = set()  # what has a fault already
        self.hampered: list[tuple[float, float]] = []
        """From when to when the coordinator and the gateway could not work together."""

    def inject(self) -> bool:
        """One random fault. False if what it would hit has one already."""
        kind = self._random.choice(FAULTS)
        away = sum(not node.alive or node.frozen for node in self._fleet.nodes.values()) + sum(
            name in self._busy for name in self._fleet.nodes
        )
        node = self._random.choice(list(self._fleet.nodes.values()))
        target = {"coordinator killed": COORDINATOR, "gateway killed": GATEWAY}.get(kind, node.name)
        if kind in ("gateway cut off from the coordinator", "disk of the coordinator away"):
            target = kind
        if target in self._busy or (target == node.name and away >= MOST_AWAY):
            return False
        self._busy.add(target)
        self.injected[kind] += 1
        back, began_at = self._begin(kind, node), self._fleet.world.now
        self._fleet.world.after(self._lasts(kind), lambda: self._end(target, back, began_at))
        return True

    def _end(self, target: str, back: Callable[[], None], began_at: float) -> None:
        back()
        if target in _HAMPERING:
            self.hampered.append((began_at, self._fleet.world.now + LEASE_S))
        self._busy.discard(target)

    def _lasts(self, kind: str) -> float:
        longest = {"gateway killed": 12.0, "coordinator killed": 40.0}.get(kind, 70.0)
        return self._random.uniform(2.0, longest)

    def _begin(self, kind: str, node: SimulatedNode) -> Callable[[], None]:
        """Begin a fault. Returns what ends it."""
        fleet, world = self._fleet, self._fleet.world
        match kind:
            case "node killed":
                node.kill()
                return node.start
            case "node frozen":
                node.freeze()
                return node.resume
            case "disk of a node away":
                node.journal.away = True
                return node.bring_disk_back
            case "disk of the coordinator away":
                fleet.store.failing = True
                return fleet.bring_disk_back
            case "coordinator killed":
                fleet.kill_coordinator()
                return fleet.start_coordinator
            case "gateway killed":
                fleet.kill_gateway()
                return fleet.start_gateway
        pairs = {
            "node cut off": [(node.name, GATEWAY), (node.name, COORDINATOR)],
            "node cut off from the gateway": [(node.name, GATEWAY)],
            "node cut off from the coordinator": [(node.name, COORDINATOR)],
            "gateway cut off from the coordinator": [(GATEWAY, COORDINATOR)],
        }[kind]
        for pair in pairs:
            world.cut(*pair)
        return lambda: self._mend(pairs)

    def _mend(self, pairs: Sequence[tuple[str, str]]) -> None:
        for pair in pairs:
            self._fleet.world.mend(*pair)


def soak(fleet: SimulatedFleet, faults: int, *, every_s: float = 25.0) -> Outcome:
    """Inject so many random faults, let all of them end, and look what became of the alerts."""
    began_at = fleet.world.now
    fleet.run_until(lambda: fleet.all_watched, 60.0)
    injector = Faults(fleet)
    while sum(injector.injected.values()) < faults:
        fleet.world.run(fleet.world.now + fleet.world.random.expovariate(1 / every_s))
        injector.inject()
    _come_to_rest(fleet, 180.0)
    return outcome(fleet, began_at, injector.injected, hampered=injector.hampered)


def kills(fleet: SimulatedFleet, count: int) -> Outcome:
    """Kill one node after the other, and measure how long its cameras are not watched."""
    began_at, found = fleet.world.now, []
    fleet.run_until(lambda: fleet.all_watched, 60.0)
    for _ in range(count):
        fleet.world.run(fleet.world.now + fleet.world.random.uniform(10.0, 20.0))
        holding = {c.node for c in _coordinator_status(fleet)}
        node = fleet.world.random.choice([node for node in fleet.nodes.values() if node.name in holding])
        node.kill()
        found.append(fleet.run_until(lambda: fleet.all_watched, 120.0))
        fleet.world.run(fleet.world.now + fleet.world.random.uniform(5.0, 20.0))
        node.start()
        fleet.world.run(fleet.world.now + 20.0)
    _come_to_rest(fleet, 20.0)
    return outcome(fleet, began_at, Counter({"node killed": count}), found)


def outcome(
    fleet: SimulatedFleet,
    began_at: float,
    injected: Counter[str],
    kill_s: Sequence[float] = (),
    hampered: Sequence[tuple[float, float]] = (),
) -> Outcome:
    """Compare what clients were told with what happened. Ends the gateway."""
    lasted_s = fleet.world.now - began_at
    status = _coordinator_status(fleet)
    counted = sum(camera.watched for camera in status) / len(status)
    told = fleet.told()
    starts = Counter(message.event_id for message in told if message.phase is Phase.START)
    ends = Counter(message.event_id for message in told if message.phase is Phase.END)
    happenings = Counter(event_id.rpartition("-")[2] for event_id in starts)
    twice = sum(count > 1 for count in happenings.values()) + sum(count > 1 for count in starts.values())
    twice += sum(count > 1 for count in ends.values())
    waits = [wait for watched in fleet.watched.values() for wait in watched.waits if wait[0] > began_at + LEASE_S]
    blind_s = sum(watched.blind_s for watched in fleet.watched.values())
    return Outcome(
        simulated_s=lasted_s,
        happened=fleet.happened,
        told=len(happenings),
        twice=twice,
        lost=len(fleet.journalled - starts.keys()),
        zombies=len(fleet.told_by_zombies),
        sole=len(fleet.told_by_zombies & starts.keys()),
        unended=len(starts.keys() - ends.keys()),
        doubly_s=sum(watched.doubly_s for watched in fleet.watched.values()),
        watched=1 - blind_s / (lasted_s * len(fleet.cameras)),
        counted=counted,
        kill_s=kill_s,
        wait_s=[wait for _, wait in waits],
        plain_s=[wait for at, wait in waits if not any(a < at + wait and at < b for a, b in hampered)],
        verdicts=Counter({str(verdict): count for verdict, count in fleet.counts.items()}),
        faults=injected,
    )


def _come_to_rest(fleet: SimulatedFleet, seconds: float) -> None:
    fleet.world.run(fleet.world.now + seconds)
    fleet.quiet = True
    fleet.world.run(fleet.world.now + 60.0)


def _coordinator_status(fleet: SimulatedFleet) -> Sequence[CameraStatus]:
    assert fleet.coordinator is not None
    return fleet.coordinator.status(fleet.world.now, fleet.world.unix).cameras
