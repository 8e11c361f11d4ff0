"""The coordinator decides which node watches which camera: a state machine over the stored state, without sockets.

A camera changes its node in four steps: the new node opens the camera (``standby``); both voters refuse the older epoch
(``fence``); the older lease is let go or runs out; the new node is told to alert (``active``). So no camera is blind
while it moves, and no two nodes alert for it at the same time. If the coordinator is away, nothing moves, and all goes
on as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from monitor.errors import UsageError
from monitor.machines.fleet_messages import PROTOCOL, Fence, Fenced, Granted, Order, Renewal, Report
from monitor.machines.fleet_state import CameraRow, FleetState, NodeRow, Turn, Wish
from monitor.machines.leases import LEASE_S, RENEW_EVERY_S, LeaseVoter
from monitor.machines.rendezvous import Demand, Host, place, relief, why_not

log = logging.getLogger("monitor")

SUSPECT_S = 5.0
"""A node that the gateway has not heard for so long is suspected: others begin to open its cameras."""
FENCE_AFTER_S = 8.0
"""Then its leases are ended. Before that, a node that comes back keeps its cameras."""
READY_S = 30.0
"""A node that has not opened a camera after this time is not able to."""
AVOID_S = 600.0
"""Then it does not get that camera again for so long."""
MOST_MOVING = 8
"""Cameras that move at the same time, or one in twenty if that is more."""
SAVE_COUNTS_S = 60.0
COMPLAIN_EVERY_S = 60.0


class Store(Protocol):
    """Where the state is kept; see StateFile."""

    def load(self) -> FleetState:
        """What was stored."""

    def save(self, state: FleetState) -> None:
        """Store it. Raises OSError."""


@dataclass(slots=True)
class _Node:
    boot: str = ""
    former: set[str] = field(default_factory=set)
    heard_at: float = -1e18
    capacity_fps: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    reports: Mapping[str, Report] = field(default_factory=dict)
    seen: tuple[int, int] = (0, 0)
    orders: int = 1  # version of its orders


@dataclass(slots=True)
class _Counts:
    watched_s: float
    blind_s: float
    at: float


@dataclass(frozen=True)
class NodeStatus:
    """A node for people. state: ``up``, ``suspected``, ``lost``, ``cut off`` (from the coordinator) or ``draining``."""

    name: str
    state: str
    cameras: int
    load_fps: float
    capacity_fps: float
    version: str


@dataclass(frozen=True)
class CameraStatus:
    """A camera for people.

    node     that watches it; "" if none does
    state    as its node reports it; ``waiting`` without a node
    watched  share of the time since it joined, 0 to 1
    why      one sentence if it waits, else ""
    """

    name: str
    node: str
    epoch: int
    state: str
    next_node: str
    watched: float
    blind_s: float
    why: str


@dataclass(frozen=True)
class FleetStatus:
    """All that ``fleet status`` shows."""

    fleet: str
    gateway: bool
    nodes: tuple[NodeStatus, ...]
    cameras: tuple[CameraStatus, ...]
    problems: tuple[str, ...]


class Coordinator:
    """Only one thread may use it. ``now`` is the clock of leases, ``unix_s`` the time of day, both in seconds.

    Call ``step`` often, send what ``fence_request`` returns to the gateway, and what ``pushes`` returns to nodes.

    Raises ConfigError if the stored state cannot be used.
    """

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self._saved = store.load()
        self._rows = dict(self._saved.cameras)
        self._orders_of_nodes = dict(self._saved.nodes)
        # A term of its own, so that orders of an earlier coordinator are older than all of this one.
        self._epoch = self._term = self._saved.epoch + 1
        self._dirty = True
        self._of: dict[str, set[str]] = {}
        for camera, row in self._rows.items():
            self._index(camera, row)
        lowest = {camera: _lowest(row) for camera, row in self._rows.items()}
        self._voter = LeaseVoter(now, {camera: epoch for camera, epoch in lowest.items() if epoch})
        self._started_at = now
        self._nodes: dict[str, _Node] = {}
        self._gateway: tuple[float, Mapping[str, float]] | None = None
        self._over: dict[str, tuple[int, float]] = {}  # camera -> (new epoch, when the older lease is over there)
        self._changed_at: dict[str, float] = {}
        self._avoid: dict[str, dict[str, float]] = {}
        self._counts = {
            camera: _Counts(row.watched_s, row.blind_s, row.counted_at) for camera, row in self._rows.items()
        }
        self._counts_saved_at = now
        self._push: set[str] = set()
        self.urgent = False
        """Whether ``step`` should be called at once: somebody waits for it."""
        self._pushed_at = now
        self._fences = 0
        self.waiting: Mapping[str, str] = {}
        """Camera -> why no node has it, one sentence."""
        self.problems: dict[str, str] = {}
        """What is wrong, one sentence each, by what it is about."""
        self._complained: dict[str, float] = {}
        self._save(now)

    # What people ask for

    def set_cameras(self, wishes: Mapping[str, Wish], now: float, unix_s: float) -> None:
        """The cameras of the fleet from now on. Raises OSError if that cannot be stored: then nothing has changed."""
        for camera in sorted(self._rows.keys() - wishes.keys()):
            row = self._rows.pop(camera)
            self._unindex(camera, row)
            self._counts.pop(camera, None)
            self._voter.forget(camera)
        for camera, wish in wishes.items():
            known = self._rows.get(camera)
            if known is None:
                self._counts[camera] = _Counts(0.0, 0.0, unix_s)
                self._put(camera, CameraRow(wish=wish, counted_at=unix_s), now)
            elif known.wish != wish:
                self._put(camera, known.but(wish=wish), now)
        self._dirty = True
        self._save(now, strict=True)

    def drain(self, node: str, now: float, heir: str | None = None) -> None:
        """Move all cameras of a node away, none is blind. heir: the node that takes them all; None: any.

        Raises UsageError.
        """
        self._known(node)
        if heir is not None:
            self._known(heir)
            if heir == node:
                raise UsageError(f"{node} cannot take over from itself: name another node")
        self._orders_of_nodes[node] = NodeRow(draining=True, heir=heir)
        self._dirty = True
        self._save(now, strict=True)

    def undrain(self, node: str, now: float) -> None:
        """The node takes cameras again. Raises UsageError."""
        self._known(node)
        self._orders_of_nodes.pop(node, None)
        self._dirty = True
        self._save(now, strict=True)

    def move(self, camera: str, node: str, now: float) -> None:
        """Move one camera; it is not blind meanwhile. Raises UsageError."""
        row = self._rows.get(camera)
        if row is None:
            raise UsageError(f"the fleet has no camera {camera!r}: `true-sight fleet status` lists them")
        self._known(node)
        host = self._host(node)
        if not self._usable(node, now):
            raise UsageError(f"{node} takes no cameras now, because it is away or drained: choose another node")
        if row.holder is not None and row.holder.node == node and row.next is None:
            raise UsageError(f"{camera} is on {node} already")
        if row.next is not None:
            raise UsageError(f"{camera} moves to {row.next.node} already: wait until it is there")
        if why := why_not(self._demand(camera, row, now), host):
            raise UsageError(f"{camera} cannot move to {node}, because {why}")
        self._begin(camera, row, node, "moves", now)
        self._save(now, strict=True)

    def _known(self, node: str) -> None:
        if node not in self._nodes and node not in self._orders_of_nodes and not self._of.get(node):
            names = ", ".join(sorted(self._nodes)) or "none"
            raise UsageError(f"the fleet has no node {node!r}: its nodes are {names}")

    # What nodes and the gateway say

    def renew(self, renewal: Renewal, now: float, unix_s: float) -> Granted:
        """A node asks. Returns what it may keep, and its orders if it does not have them yet."""
        if renewal.protocol != PROTOCOL:
            return self._reject(
                renewal,
                f"{renewal.node} speaks version {renewal.protocol} of the fleet's protocol, and this fleet {PROTOCOL}: "
                "install the same version of True Sight on all machines",
                now,
            )
        node = self._nodes.setdefault(renewal.node, _Node())
        if renewal.boot in node.former:
            return self._reject(
                renewal,
                f"two nodes are named {renewal.node}, and the newer one counts: give one of them another name",
                now,
            )
        if renewal.boot != node.boot:
            if node.boot:
                node.former.add(node.boot)
            node.boot = renewal.boot
            if renewal.fresh:
                self._begins_anew(renewal.node)
        node.heard_at, node.seen = now, renewal.orders
        node.capacity_fps, node.labels, node.version = renewal.capacity_fps, renewal.labels, renewal.version
        node.reports = renewal.cameras
        if now - self._complained.get(about := f"node {renewal.node}", now) >= 2 * COMPLAIN_EVERY_S:
            self.problems.pop(about, None)
        for camera, gone in renewal.released.items():
            if self._released(renewal.node, camera, gone.epoch):
                self._count(camera, unix_s - gone.since_s, unix_s - gone.ended_s)
        refused = []
        for camera, report in renewal.cameras.items():
            row = self._rows.get(camera)
            turns = () if row is None else (row.holder, row.next)
            asked = (renewal.node, report.epoch)
            turn = next((each for each in turns if each and (each.node, each.epoch) == asked), None)
            if turn is None or not self._voter.renew(camera, report.epoch, now):
                refused.append(camera)
            elif row is not None and turn is row.holder and report.state == "watching":
                self._count(camera, unix_s - report.since_s, unix_s)
        return self._granted(renewal.node, renewal.number, tuple(refused))

    def _reject(self, renewal: Renewal, sentence: str, now: float) -> Granted:
        self._complain(f"node {renewal.node}", sentence, now)
        return Granted(number=renewal.number, refused=tuple(renewal.cameras), error=sentence)

    def _granted(self, name: str, number: int, refused: tuple[str, ...] = ()) -> Granted:
        node = self._nodes[name]
        at = (self._term, node.orders)
        orders = None if node.seen == at else self._orders(name)
        return Granted(number=number, refused=refused, orders=orders, at=at)

    def _orders(self, node: str) -> dict[str, Order]:
        found = {}
        for camera in sorted(self._of.get(node, ())):
            row = self._rows[camera]
            if row.next is not None and row.next.node == node:
                turn, role = row.next, "standby"
            elif row.holder is not None and row.holder.node == node and not self._ends(camera, row):
                turn, role = row.holder, "active"
            else:
                continue
            wish = row.wish
            found[camera] = Order(
                epoch=turn.epoch,
                role="standby" if role == "standby" else "active",
                source=wish.source,
                fps=wish.fps,
                settings=wish.settings,
            )
        return found

    def _ends(self, camera: str, row: CameraRow) -> bool:
        """Whether the holder is to let the camera go: not before the gateway has agreed."""
        if row.let_go or row.holder is None or row.floor > row.holder.epoch:
            return True
        return row.next is not None and self._over.get(camera, (0, 0.0))[0] == row.next.epoch

    def pushes(self, now: float) -> dict[str, Granted]:
        """Node -> orders that have changed since the last call. Send them to the node and to the gateway, which passes
        them on: one of the two may be cut off. A node that is not heard gets them again and again."""
        changed, self._push = self._push, set()
        if now - self._pushed_at >= RENEW_EVERY_S:
            self._pushed_at = now
            for name, node in self._nodes.items():
                if node.seen != (self._term, node.orders) and now - node.heard_at > SUSPECT_S:
                    changed.add(name)
        return {name: self._granted(name, 0) for name in sorted(changed) if name in self._nodes}

    def fence_request(self) -> Fence:
        """What the gateway must be asked now. It answers with how its nodes are."""
        self._fences += 1
        cameras = {}
        for camera, row in self._saved.cameras.items():
            if row.next is not None and row.next.fenced:
                cameras[camera] = (row.holder.epoch if row.holder else 0, row.next.epoch, row.next.node)
        return Fence(number=self._fences, cameras=cameras)

    def fenced(self, asked: Fence, reply: Fenced, now: float) -> None:
        """The gateway's answer to ``asked``."""
        self._gateway = (now, reply.heard_s)
        self._epoch = max(self._epoch, reply.highest)
        for camera, (_, epoch, _) in asked.cameras.items():
            row = self._rows.get(camera)
            if row is None or row.next is None or row.next.epoch != epoch:
                continue
            if camera not in reply.wait_s:  # the gateway knows a higher epoch: ask with one that is higher still
                self._put(camera, _without_next(row), now)
                continue
            if self._over.get(camera, (0, 0.0))[0] != epoch and row.holder is not None:
                self._changed_node(row.holder.node)
                self.urgent = True
            self._over[camera] = (epoch, now + reply.wait_s[camera])
            self._voter.fence(camera, epoch)

    # Decisions

    def step(self, now: float) -> None:
        """Decide what is due. Nobody is told of a decision before it is stored."""
        self.urgent = False
        self._voter.tidy(now)
        wants: dict[str, str] = {}
        for camera in list(self._rows):
            if why := self._advance(camera, self._rows[camera], now):
                wants[camera] = why
        self._place(wants, now)
        self._relieve(now)
        if now - self._counts_saved_at >= SAVE_COUNTS_S:
            self._dirty = True
        self._save(now)

    def _advance(self, camera: str, row: CameraRow, now: float) -> str:
        """Go on with a change of a camera. Returns why it needs another node, or "" if it does not."""
        if row.next is not None and self._lost(row.next.node, now):
            row = self._put(camera, _without_next(row), now)
        if row.next is None:
            return self._why_elsewhere(camera, row, now)
        if row.next.fenced:
            self._activate(camera, row, row.next, now)
            return ""
        holder, began_at = row.holder, self._changed_at.get(camera, self._started_at)
        if holder is None or row.let_go or row.floor > holder.epoch:
            self._fence(camera, row, row.next, now)
        elif row.why == "lost":
            if not self._lost(holder.node, now):
                log.info("%s: stays on %s, which is back", camera, holder.node)
                self._put(camera, row.but(next=None, why=""), now)
            elif self._gateway_age(holder.node, now) >= FENCE_AFTER_S:
                self._fence(camera, row, row.next, now)
        elif self._lost(holder.node, now):
            self._put(camera, row.but(why="lost"), now)
        elif (report := self._report(row.next, camera)) is not None and report.state == "watching":
            self._fence(camera, row, row.next, now)
        elif now - began_at > READY_S:
            log.warning("%s: stays on %s, because %s could not open it", camera, holder.node, row.next.node)
            self._avoid.setdefault(camera, {})[row.next.node] = now + AVOID_S
            self._put(camera, row.but(next=None, why=""), now)
        return ""

    def _why_elsewhere(self, camera: str, row: CameraRow, now: float) -> str:
        holder = row.holder
        if holder is None or row.let_go or row.floor > holder.epoch or self._lost(holder.node, now):
            return "lost"
        if (row.wish.pin or holder.node) != holder.node or self._draining(holder.node):
            return "moves"
        if any(self._labels(holder.node).get(key) != value for key, value in row.wish.needs.items()):
            return "moves" if holder.node in self._nodes else ""
        report = self._report(holder, camera)
        if report is not None and report.state == "failed" and report.since_s > READY_S:
            self._avoid.setdefault(camera, {})[holder.node] = now + AVOID_S
            return "moves"
        return ""

    def _fence(self, camera: str, row: CameraRow, turn: Turn, now: float) -> None:
        self._put(camera, row.but(next=turn.but(fenced=True)), now)
        self.urgent = True

    def _activate(self, camera: str, row: CameraRow, turn: Turn, now: float) -> None:
        epoch, over_at = self._over.get(camera, (0, 0.0))
        if epoch != turn.epoch:
            return
        holder = row.holder
        if (
            holder is not None
            and not row.let_go
            and max(over_at - now, self._voter.wait_s(camera, holder.epoch, now)) > 0
        ):
            return
        self._over.pop(camera, None)
        if holder is not None and holder.node != turn.node:
            log.info("%s: watched by %s now, before by %s", camera, turn.node, holder.node)
        self._put(
            camera, row.but(holder=turn.but(fenced=False), next=None, let_go=False, floor=turn.epoch, why=""), now
        )

    def _place(self, wants: Mapping[str, str], now: float) -> None:
        """Choose nodes for cameras that need one."""
        hosts = [self._host(name) for name in sorted(self._nodes) if self._usable(name, now)]
        moving = sum(row.why == "moves" for row in self._rows.values() if row.next is not None)
        room = self._most_moving() - moving
        demands = []
        for camera, why in wants.items():
            row = self._rows[camera]
            if why == "moves":
                if room <= 0:
                    continue
                room -= 1
            demands.append(self._demand(camera, row, now, moves=why == "moves"))
        placed = place(demands, hosts, self._loads())
        self.waiting = placed.waiting
        for camera, node in placed.where.items():
            self._begin(camera, self._rows[camera], node, wants[camera], now)

    def _relieve(self, now: float) -> None:
        """Move cameras from the busiest node, if another one has much less to do."""
        moving = sum(row.next is not None for row in self._rows.values())
        if moving or now - self._started_at < LEASE_S:
            return
        hosts = [self._host(name) for name in sorted(self._nodes) if self._usable(name, now)]
        if len(hosts) < 2:
            return
        loads = self._loads()
        current = {camera: row.holder.node for camera, row in self._rows.items() if row.holder is not None}
        demands = {camera: self._demand(camera, row, now) for camera, row in self._rows.items()}
        for _ in range(self._most_moving()):
            found = relief(demands.values(), hosts, current, loads)
            if found is None:
                return
            camera, target = found
            source, fps = current.pop(camera), demands.pop(camera).fps
            loads[source] -= fps
            loads[target] = loads.get(target, 0.0) + fps
            self._begin(camera, self._rows[camera], target, "moves", now)

    def _begin(self, camera: str, row: CameraRow, node: str, why: str, now: float) -> None:
        """Let a node open a camera, to take it over."""
        self._epoch += 1
        turn = Turn(node=node, epoch=self._epoch)
        self._put(camera, row.but(next=turn, why="moves" if why == "moves" else "lost"), now)
        self._changed_at[camera] = now

    # What is known

    def _demand(self, camera: str, row: CameraRow, now: float, *, moves: bool = False) -> Demand:
        avoid = [node for node, until in self._avoid.get(camera, {}).items() if until > now]
        pin = row.wish.pin
        if moves and row.holder is not None:
            avoid.append(row.holder.node)
            heir = self._orders_of_nodes.get(row.holder.node, NodeRow()).heir
            pin = heir if heir is not None and self._usable(heir, now) else pin
        return Demand(camera, row.wish.fps, row.wish.needs, pin, avoid)

    def _host(self, name: str) -> Host:
        node = self._nodes.get(name, _Node())
        return Host(name, node.capacity_fps, node.labels)

    def _labels(self, name: str) -> Mapping[str, str]:
        return self._nodes.get(name, _Node()).labels

    def _loads(self) -> dict[str, float]:
        loads: dict[str, float] = {}
        for row in self._rows.values():
            for name in {turn.node for turn in (row.holder, row.next) if turn is not None}:
                loads[name] = loads.get(name, 0.0) + row.wish.fps
        return loads

    def _report(self, turn: Turn, camera: str) -> Report | None:
        node = self._nodes.get(turn.node)
        report = None if node is None else node.reports.get(camera)
        return report if report is not None and report.epoch == turn.epoch else None

    def _most_moving(self) -> int:
        return max(MOST_MOVING, len(self._rows) // 20)

    def _draining(self, name: str) -> bool:
        return self._orders_of_nodes.get(name, NodeRow()).draining

    def gateway_alive(self, now: float) -> bool:
        """Whether the gateway has answered lately. Without it, no camera changes its node."""
        return self._gateway is not None and now - self._gateway[0] <= SUSPECT_S

    def _gateway_age(self, name: str, now: float) -> float:
        """Seconds between the last renewal of a node and the last answer of the gateway; 0 if nobody knows."""
        if self._gateway is None or not self.gateway_alive(now):
            return 0.0
        at, heard = self._gateway
        return heard.get(name, at - self._started_at)

    def _lost(self, name: str, now: float) -> bool:
        return self._gateway_age(name, now) > SUSPECT_S

    def _usable(self, name: str, now: float) -> bool:
        node = self._nodes.get(name)
        return (
            node is not None
            and now - node.heard_at <= SUSPECT_S
            and self.gateway_alive(now)
            and not self._lost(name, now)
            and not self._draining(name)
        )

    def _begins_anew(self, name: str) -> None:
        """The process of a node was started again: it holds nothing."""
        for camera in sorted(self._of.get(name, ())):
            row = self._rows[camera]
            if row.holder is not None and row.holder.node == name:
                self._released(name, camera, row.holder.epoch)

    def _released(self, name: str, camera: str, epoch: int) -> bool:
        """A node has let a camera go. Returns whether it held it, and that was not known."""
        row = self._rows.get(camera)
        self._voter.release(camera, epoch)
        if row is None or row.holder is None or row.let_go or (row.holder.node, row.holder.epoch) != (name, epoch):
            return False
        self._rows[camera] = row.but(let_go=True)
        self._dirty = self.urgent = True
        return True

    def _count(self, camera: str, began_at: float, ended_at: float) -> None:
        """It was watched in this time, unix seconds. What nobody has reported is counted as not watched."""
        count = self._counts[camera]
        if ended_at <= max(count.at, began_at):
            return
        began_at = max(count.at, began_at)
        count.blind_s += began_at - count.at
        count.watched_s += ended_at - began_at
        count.at = ended_at

    def status(self, now: float, unix_s: float) -> FleetStatus:
        """How the fleet is."""
        loads = self._loads()
        names = sorted(self._nodes.keys() | self._of.keys() | self._orders_of_nodes.keys())
        nodes = []
        for name in names:
            cameras = [c for c in self._of.get(name, ()) if (h := self._rows[c].holder) is not None and h.node == name]
            node = self._nodes.get(name, _Node())
            nodes.append(
                NodeStatus(
                    name, self._state_of(name, now), len(cameras), loads.get(name, 0.0), node.capacity_fps, node.version
                )
            )
        problems = list(self.problems.values())
        if not self.gateway_alive(now):
            problems.append("the gateway does not answer, so no camera can change its node: see that it runs")
        return FleetStatus(
            self._saved.fleet,
            self.gateway_alive(now),
            tuple(nodes),
            tuple(self._camera_status(camera, row, unix_s) for camera, row in sorted(self._rows.items())),
            tuple(problems),
        )

    def _state_of(self, name: str, now: float) -> str:
        if self._gateway_age(name, now) > LEASE_S:
            return "lost"
        if self._lost(name, now):
            return "suspected"
        if name not in self._nodes or now - self._nodes[name].heard_at > SUSPECT_S:
            return "cut off"
        return "draining" if self._draining(name) else "up"

    def _camera_status(self, camera: str, row: CameraRow, unix_s: float) -> CameraStatus:
        count = self._counts[camera]
        silent_s = unix_s - count.at
        blind_s = count.blind_s + (silent_s if silent_s > 2 * RENEW_EVERY_S else 0.0)
        whole = count.watched_s + blind_s
        report = None if row.holder is None else self._report(row.holder, camera)
        return CameraStatus(
            camera,
            "" if row.holder is None else row.holder.node,
            0 if row.holder is None else row.holder.epoch,
            "waiting" if row.holder is None else "unknown" if report is None else report.state,
            "" if row.next is None else row.next.node,
            count.watched_s / whole if whole else 0.0,
            blind_s,
            self.waiting.get(camera, ""),
        )

    # The store

    def _put(self, camera: str, row: CameraRow, now: float) -> CameraRow:
        old = self._rows.get(camera)
        if old is not None:
            self._unindex(camera, old)
        self._rows[camera] = row
        self._index(camera, row)
        for turn in (row.holder, row.next):
            if turn is not None:
                self._changed_node(turn.node)
        self._changed_at.setdefault(camera, now)
        self._dirty = True
        return row

    def _index(self, camera: str, row: CameraRow) -> None:
        for turn in (row.holder, row.next):
            if turn is not None:
                self._of.setdefault(turn.node, set()).add(camera)

    def _unindex(self, camera: str, row: CameraRow) -> None:
        for turn in (row.holder, row.next):
            if turn is not None:
                self._of.get(turn.node, set()).discard(camera)
                self._changed_node(turn.node)

    def _changed_node(self, name: str) -> None:
        if (node := self._nodes.get(name)) is not None:
            node.orders += 1
            self._push.add(name)

    def _save(self, now: float, *, strict: bool = False) -> None:
        """Store what has changed. If that fails, nothing has changed: nobody was told of it."""
        if not self._dirty:
            return
        for camera, count in self._counts.items():
            row = self._rows[camera]
            if row.counted_at != count.at:
                counts = {"watched_s": count.watched_s, "blind_s": count.blind_s, "counted_at": count.at}
                self._rows[camera] = row.model_copy(update=counts)
        state = FleetState.model_construct(
            format="true-sight fleet",
            version=1,
            fleet=self._saved.fleet,
            epoch=self._epoch,
            cameras=dict(self._rows),
            nodes=dict(self._orders_of_nodes),
        )
        try:
            self._store.save(state)
        except OSError as error:
            self.urgent = False
            self._rows, self._orders_of_nodes = dict(self._saved.cameras), dict(self._saved.nodes)
            self._of = {}
            for camera, row in self._rows.items():
                self._index(camera, row)
                self._counts.setdefault(camera, _Counts(row.watched_s, row.blind_s, row.counted_at))
            self._counts = {camera: self._counts[camera] for camera in self._rows}
            for name in self._nodes:
                self._changed_node(name)
            sentence = (
                f"the state of the fleet cannot be stored ({error.strerror or error}), so no camera changes its node: "
                "free space on its disk, or bring the disk back"
            )
            self._complain("state", sentence, now)
            if strict:
                raise
            return
        self.problems.pop("state", None)
        self._saved, self._dirty, self._counts_saved_at = state, False, now

    def _complain(self, about: str, sentence: str, now: float) -> None:
        self.problems[about] = sentence
        if now - self._complained.get(about, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self._complained[about] = now
            log.error("%s", sentence)


def _lowest(row: CameraRow) -> int:
    """The lowest epoch of a camera that may be renewed."""
    return row.next.epoch if row.next is not None and row.next.fenced else row.floor


def _without_next(row: CameraRow) -> CameraRow:
    """The row without the node that was to take over. What was fenced for it stays fenced."""
    return row.but(next=None, floor=_lowest(row))
