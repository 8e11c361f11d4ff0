"""The coordinator decides which node watches which camera: a state machine over the stored state, without sockets.

A camera changes its node in four steps: the new node opens the camera (``standby``); both voters refuse the older epoch
(``fence``); the older lease is let go or runs out; the new node is told to alert (``active``). So no camera is blind
while it moves, and no two nodes alert for it at the same time. If the coordinator is away, nothing moves, and all goes
on as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from monitor.errors import UsageError
from monitor.machines.fleet_messages import PROTOCOL, Fence, Fenced, Granted, Order, Renewal
from monitor.machines.fleet_placing import FleetPlacing
from monitor.machines.fleet_state import CameraRow, NodeRow, Turn, Wish
from monitor.machines.fleet_status import FleetStatus, status_of
from monitor.machines.fleet_table import FleetTable, Store
from monitor.machines.known_nodes import KnownNodes
from monitor.machines.leases import LEASE_S, RENEW_EVERY_S, LeaseVoter
from monitor.machines.rendezvous import why_not

log = logging.getLogger("monitor")

FENCE_AFTER_S = 8.0
"""Then its leases are ended. Before that, a node that comes back keeps its cameras."""
READY_S = 30.0
"""A node that has not opened a camera after this time is not able to."""
SAVE_COUNTS_S = 60.0
COMPLAIN_EVERY_S = 60.0


class Coordinator:
    """Only one thread may use it. ``now`` is the clock of leases, ``unix_s`` the time of day, both in seconds.

    Call ``step`` often, send what ``fence_request`` returns to the gateway, and what ``pushes`` returns to nodes.

    least_epoch: one that was given already, if the state that knew it is lost

    Raises ConfigError if the stored state cannot be used.
    """

    def __init__(self, store: Store, now: float, least_epoch: int = 0) -> None:
        self._nodes = KnownNodes(now)
        self._table = FleetTable(store, self._nodes.changed)
        self._placing = FleetPlacing(self._table, self._nodes)
        # A term of its own, so that orders of an earlier coordinator are older than all of this one.
        self._epoch = self._term = max(self._table.saved.epoch, least_epoch) + 1
        lowest = {camera: _lowest(row) for camera, row in self._table.rows.items()}
        self._voter = LeaseVoter(now, {camera: epoch for camera, epoch in lowest.items() if epoch})
        self._started_at = now
        self._over: dict[str, tuple[int, float]] = {}  # camera -> (new epoch, when the older lease is over there)
        self._changed_at: dict[str, float] = {}
        self._counts_saved_at = now
        self.urgent = False
        """Whether ``step`` should be called at once: somebody waits for it."""
        self._pushed_at = now
        self._fences = 0
        self.waiting: Mapping[str, str] = {}
        """Camera -> why no node has it, one sentence."""
        self.problems: dict[str, str] = {}
        """What is wrong, one sentence each, by what it is about."""
        self._complained: dict[str, float] = {}
        self._chosen: Mapping[str, str] = {}
        self._save(now)

    # What people ask for

    def set_cameras(self, wishes: Mapping[str, Wish], now: float, unix_s: float) -> None:
        """The cameras of the fleet from now on. Raises OSError if that cannot be stored: then nothing has changed."""
        for camera in sorted(self._table.rows.keys() - wishes.keys()):
            self._table.remove(camera)
            self._voter.forget(camera)
        for camera, wish in wishes.items():
            known = self._table.rows.get(camera)
            if known is None:
                self._put(camera, CameraRow(wish=wish, counted_at=unix_s), now)
            elif known.wish != wish:
                self._put(camera, known.but(wish=wish), now)
        self._table.dirty = True
        self._save(now, strict=True)

    def set_chosen(self, chosen: Mapping[str, str]) -> None:
        """What people have chosen for cameras: nodes get it with their orders."""
        for camera in chosen.keys() | self._chosen.keys():
            row = self._table.rows.get(camera)
            if row is not None and chosen.get(camera) != self._chosen.get(camera):
                for turn in (row.holder, row.next):
                    if turn is not None:
                        self._nodes.changed(turn.node)
        self._chosen = dict(chosen)

    def drain(self, node: str, now: float, heir: str | None = None) -> None:
        """Move all cameras of a node away, none is blind. heir: the node that takes them all; None: any.

        Raises UsageError.
        """
        self._check_known(node)
        if heir is not None:
            self._check_known(heir)
            if heir == node:
                raise UsageError(f"{node} cannot take over from itself: name another node")
        self._table.nodes[node] = NodeRow(draining=True, heir=heir)
        self._table.dirty = True
        self._save(now, strict=True)

    def undrain(self, node: str, now: float) -> None:
        """The node takes cameras again. Raises UsageError."""
        self._check_known(node)
        self._table.nodes.pop(node, None)
        self._table.dirty = True
        self._save(now, strict=True)

    def move(self, camera: str, node: str, now: float) -> None:
        """Move one camera; it is not blind meanwhile. Raises UsageError."""
        row = self._table.rows.get(camera)
        if row is None:
            raise UsageError(f"the fleet has no camera {camera!r}: `true-sight fleet status` lists them")
        self._check_known(node)
        host = self._nodes.host(node)
        if not self._placing.usable(node, now):
            raise UsageError(f"{node} takes no cameras now, because it is away or drained: choose another node")
        if row.holder is not None and row.holder.node == node and row.next is None:
            raise UsageError(f"{camera} is on {node} already")
        if row.next is not None:
            raise UsageError(f"{camera} moves to {row.next.node} already: wait until it is there")
        if why := why_not(self._placing.demand(camera, row, now), host):
            raise UsageError(f"{camera} cannot move to {node}, because {why}")
        self._begin(camera, row, node, "moves", now)
        self._save(now, strict=True)

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
        node = self._nodes.named(renewal.node)
        if renewal.boot in node.former:
            return self._reject(
                renewal,
                f"two nodes are named {renewal.node}, and the newer one counts: give one of them another name",
                now,
            )
        if node.heard(renewal, now) and renewal.fresh:
            self._begins_anew(renewal.node)
        if now - self._complained.get(about := f"node {renewal.node}", now) >= 2 * COMPLAIN_EVERY_S:
            self.problems.pop(about, None)
        for camera, gone in renewal.released.items():
            if self._released(renewal.node, camera, gone.epoch):
                self._table.count(camera, unix_s - gone.since_s, unix_s - gone.ended_s)
        refused = []
        for camera, report in renewal.cameras.items():
            row = self._table.rows.get(camera)
            turns = () if row is None else (row.holder, row.next)
            asked = (renewal.node, report.epoch)
            turn = next((each for each in turns if each and (each.node, each.epoch) == asked), None)
            if turn is None or not self._voter.renew(camera, report.epoch, now):
                refused.append(camera)
            elif row is not None and turn is row.holder and report.state == "watching":
                self._table.count(camera, unix_s - report.since_s, unix_s)
        return self._granted(renewal.node, renewal.number, tuple(refused))

    def _reject(self, renewal: Renewal, sentence: str, now: float) -> Granted:
        self._complain(f"node {renewal.node}", sentence, now)
        return Granted(number=renewal.number, refused=tuple(renewal.cameras), error=sentence)

    def _granted(self, name: str, number: int, refused: tuple[str, ...] = ()) -> Granted:
        node = self._nodes.named(name)
        at = (self._term, node.orders)
        orders = None if node.seen == at else self._orders(name)
        return Granted(number=number, refused=refused, orders=orders, at=at)

    def _orders(self, node: str) -> dict[str, Order]:
        found = {}
        for camera in sorted(self._table.of(node)):
            row = self._table.rows[camera]
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
                choice=self._chosen.get(camera, ""),
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
        changed = self._nodes.take_changed()
        if now - self._pushed_at >= RENEW_EVERY_S:
            self._pushed_at = now
            changed |= self._nodes.behind(self._term, now)
        return {name: self._granted(name, 0) for name in sorted(changed)}

    def fence_request(self) -> Fence:
        """What the gateway must be asked now. It answers with how its nodes are."""
        self._fences += 1
        cameras = {}
        for camera, row in self._table.saved.cameras.items():
            if row.next is not None and row.next.fenced:
                cameras[camera] = (row.holder.epoch if row.holder else 0, row.next.epoch, row.next.node)
        return Fence(number=self._fences, cameras=cameras)

    def fenced(self, asked: Fence, reply: Fenced, now: float) -> None:
        """The gateway's answer to ``asked``."""
        self._nodes.gateway = now, reply.heard_s
        self._epoch = max(self._epoch, reply.highest)
        for camera, (_, epoch, _) in asked.cameras.items():
            row = self._table.rows.get(camera)
            if row is None or row.next is None or row.next.epoch != epoch:
                continue
            if camera not in reply.wait_s:  # the gateway knows a higher epoch: ask with one that is higher still
                self._put(camera, _without_next(row), now)
                continue
            if self._over.get(camera, (0, 0.0))[0] != epoch and row.holder is not None:
                self._nodes.changed(row.holder.node)
                self.urgent = True
            self._over[camera] = (epoch, now + reply.wait_s[camera])
            self._voter.fence(camera, epoch)

    # Decisions

    def step(self, now: float) -> None:
        """Decide what is due. Nobody is told of a decision before it is stored."""
        self.urgent = False
        self._voter.tidy(now)
        wants: dict[str, str] = {}
        for camera in list(self._table.rows):
            if why := self._advance(camera, self._table.rows[camera], now):
                wants[camera] = why
        self._place(wants, now)
        self._relieve(now)
        if now - self._counts_saved_at >= SAVE_COUNTS_S:
            self._table.dirty = True
        self._save(now)

    def _advance(self, camera: str, row: CameraRow, now: float) -> str:
        """Go on with a change of a camera. Returns why it needs another node, or "" if it does not."""
        if row.next is not None and self._nodes.lost(row.next.node, now):
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
            if not self._nodes.lost(holder.node, now):
                log.info("%s: stays on %s, which is back", camera, holder.node)
                self._put(camera, row.but(next=None, why=""), now)
            elif self._nodes.gateway_age(holder.node, now) >= FENCE_AFTER_S:
                self._fence(camera, row, row.next, now)
        elif self._nodes.lost(holder.node, now):
            self._put(camera, row.but(why="lost"), now)
        elif (report := self._nodes.report(row.next, camera)) is not None and report.state == "watching":
            self._fence(camera, row, row.next, now)
        elif now - began_at > READY_S:
            log.warning("%s: stays on %s, because %s could not open it", camera, holder.node, row.next.node)
            self._placing.avoid(camera, row.next.node, now)
            self._put(camera, row.but(next=None, why=""), now)
        return ""

    def _why_elsewhere(self, camera: str, row: CameraRow, now: float) -> str:
        holder = row.holder
        if holder is None or row.let_go or row.floor > holder.epoch or self._nodes.lost(holder.node, now):
            return "lost"
        if (row.wish.pin or holder.node) != holder.node or self._table.draining(holder.node):
            return "moves"
        if any(self._nodes.labels_of(holder.node).get(key) != value for key, value in row.wish.needs.items()):
            return "moves" if holder.node in self._nodes.names else ""
        report = self._nodes.report(holder, camera)
        if report is not None and report.state == "failed" and report.since_s > READY_S:
            self._placing.avoid(camera, holder.node, now)
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
        placed = self._placing.chosen(wants, now)
        self.waiting = placed.waiting
        for camera, node in placed.where.items():
            self._begin(camera, self._table.rows[camera], node, wants[camera], now)

    def _relieve(self, now: float) -> None:
        """Move cameras from the busiest node, if another one has much less to do."""
        if now - self._started_at < LEASE_S:
            return
        for camera, node in self._placing.relieved(now):
            self._begin(camera, self._table.rows[camera], node, "moves", now)

    def _begin(self, camera: str, row: CameraRow, node: str, why: str, now: float) -> None:
        """Let a node open a camera, to take it over."""
        self._epoch += 1
        turn = Turn(node=node, epoch=self._epoch)
        self._put(camera, row.but(next=turn, why="moves" if why == "moves" else "lost"), now)
        self._changed_at[camera] = now

    # What is known

    def status(self, now: float, unix_s: float) -> FleetStatus:
        """How the fleet is."""
        return status_of(self._table, self._nodes, self.waiting, self.problems, now, unix_s)

    def gateway_alive(self, now: float) -> bool:
        """Whether the gateway has answered lately. Without it, no camera changes its node."""
        return self._nodes.gateway_alive(now)

    def _check_known(self, node: str) -> None:
        if node not in self._nodes.names and node not in self._table.nodes and not self._table.of(node):
            names = ", ".join(self._nodes.names) or "none"
            raise UsageError(f"the fleet has no node {node!r}: its nodes are {names}")

    def _begins_anew(self, name: str) -> None:
        """The process of a node was started again: it holds nothing."""
        for camera in sorted(self._table.of(name)):
            row = self._table.rows[camera]
            if row.holder is not None and row.holder.node == name:
                self._released(name, camera, row.holder.epoch)

    def _released(self, name: str, camera: str, epoch: int) -> bool:
        """A node has let a camera go. Returns whether it held it, and that was not known."""
        row = self._table.rows.get(camera)
        self._voter.release(camera, epoch)
        if row is None or row.holder is None or row.let_go or (row.holder.node, row.holder.epoch) != (name, epoch):
            return False
        self._table.rows[camera] = row.but(let_go=True)
        self._table.dirty = self.urgent = True
        return True

    def _put(self, camera: str, row: CameraRow, now: float) -> CameraRow:
        self._changed_at.setdefault(camera, now)
        return self._table.put(camera, row)

    def _save(self, now: float, *, strict: bool = False) -> None:
        """Store what has changed. If that fails, nothing has changed: nobody was told of it."""
        if not self._table.dirty:
            return
        try:
            self._table.save(self._epoch)
        except OSError as error:
            self.urgent = False
            self._nodes.all_changed()
            sentence = (
                f"the state of the fleet cannot be stored ({error.strerror or error}), so no camera changes its node: "
                "free space on its disk, or bring the disk back"
            )
            self._complain("state", sentence, now)
            if strict:
                raise
            return
        self.problems.pop("state", None)
        self._counts_saved_at = now

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
