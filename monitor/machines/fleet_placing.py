"""Chooses nodes for the cameras of a fleet: for those that need one, and for those of a node with too much to do."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.machines.fleet_state import CameraRow, NodeRow
from monitor.machines.fleet_table import FleetTable
from monitor.machines.known_nodes import KnownNodes
from monitor.machines.rendezvous import Demand, Host, Placed, place, relief

AVOID_S = 600.0
"""A node that could not open a camera does not get it again for so long."""
MOST_MOVING = 8
"""Cameras that move at the same time, or one in twenty if that is more."""


class FleetPlacing:
    """Changes nothing but what it avoids; the clock of leases is passed in."""

    def __init__(self, table: FleetTable, nodes: KnownNodes) -> None:
        self._table, self._nodes = table, nodes
        self._avoid: dict[str, dict[str, float]] = {}

    def avoid(self, camera: str, node: str, now: float) -> None:
        """The node could not open the camera."""
        self._avoid.setdefault(camera, {})[node] = now + AVOID_S

    def usable(self, name: str, now: float) -> bool:
        """Whether a node takes cameras."""
        return self._nodes.usable(name, now) and not self._table.draining(name)

    def demand(self, camera: str, row: CameraRow, now: float, *, moves: bool = False) -> Demand:
        """What a camera needs. moves: it must leave its node, to the heir of this node if there is one."""
        avoid = [node for node, until in self._avoid.get(camera, {}).items() if until > now]
        pin = row.wish.pin
        if moves and row.holder is not None:
            avoid.append(row.holder.node)
            heir = self._table.nodes.get(row.holder.node, NodeRow()).heir
            pin = heir if heir is not None and self.usable(heir, now) else pin
        return Demand(camera, row.wish.fps, row.wish.needs, pin, avoid)

    def chosen(self, wants: Mapping[str, str], now: float) -> Placed:
        """Nodes for cameras that need one. wants: camera -> ``lost``, or ``moves``: then it can wait."""
        moving = sum(row.why == "moves" for row in self._table.rows.values() if row.next is not None)
        room = self._most_moving() - moving
        demands = []
        for camera, why in wants.items():
            if why == "moves":
                if room <= 0:
                    continue
                room -= 1
            demands.append(self.demand(camera, self._table.rows[camera], now, moves=why == "moves"))
        return place(demands, self._hosts(now), self._table.loads())

    def relieved(self, now: float) -> list[tuple[str, str]]:
        """Cameras that should leave the busiest node, and where to; none while any camera changes its node."""
        rows = self._table.rows
        hosts = self._hosts(now)
        if len(hosts) < 2 or any(row.next is not None for row in rows.values()):
            return []
        loads = self._table.loads()
        current = {camera: row.holder.node for camera, row in rows.items() if row.holder is not None}
        demands = {camera: self.demand(camera, row, now) for camera, row in rows.items()}
        moves: list[tuple[str, str]] = []
        while len(moves) < self._most_moving() and (found := relief(demands.values(), hosts, current, loads)):
            camera, target = found
            source, fps = current.pop(camera), demands.pop(camera).fps
            loads[source] -= fps
            loads[target] = loads.get(target, 0.0) + fps
            moves.append(found)
        return moves

    def _hosts(self, now: float) -> list[Host]:
        return [self._nodes.host(name) for name in self._nodes.names if self.usable(name, now)]

    def _most_moving(self) -> int:
        return max(MOST_MOVING, len(self._table.rows) // 20)
