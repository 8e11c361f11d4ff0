"""How a fleet is, for people: its nodes, its cameras, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.machines.fleet_state import CameraRow
from monitor.machines.fleet_table import FleetTable
from monitor.machines.known_nodes import KnownNodes
from monitor.machines.leases import LEASE_S, RENEW_EVERY_S


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


def status_of(
    table: FleetTable,
    nodes: KnownNodes,
    waiting: Mapping[str, str],
    problems: Mapping[str, str],
    now: float,
    unix_s: float,
) -> FleetStatus:
    """The status now. waiting: camera -> why no node has it; problems: sentences by what they are about."""
    loads = table.loads()
    found = []
    for name in sorted({*nodes.names, *table.holders, *table.nodes}):
        held = [camera for camera in table.of(name) if (h := table.rows[camera].holder) is not None and h.node == name]
        node, load = nodes.named_or_new(name), loads.get(name, 0.0)
        state = _state_of(name, table, nodes, now)
        found.append(NodeStatus(name, state, len(held), load, node.capacity_fps, node.version))
    said = list(problems.values())
    if not nodes.gateway_alive(now):
        said.append("the gateway does not answer, so no camera can change its node: see that it runs")
    cameras = (_camera_status(camera, row, table, nodes, waiting, unix_s) for camera, row in sorted(table.rows.items()))
    return FleetStatus(table.saved.fleet, nodes.gateway_alive(now), tuple(found), tuple(cameras), tuple(said))


def _state_of(name: str, table: FleetTable, nodes: KnownNodes, now: float) -> str:
    if nodes.gateway_age(name, now) > LEASE_S:
        return "lost"
    if nodes.lost(name, now):
        return "suspected"
    if not nodes.heard_lately(name, now):
        return "cut off"
    return "draining" if table.draining(name) else "up"


def _camera_status(
    camera: str, row: CameraRow, table: FleetTable, nodes: KnownNodes, waiting: Mapping[str, str], unix_s: float
) -> CameraStatus:
    count = table.counts[camera]
    silent_s = unix_s - count.at
    blind_s = count.blind_s + (silent_s if silent_s > 2 * RENEW_EVERY_S else 0.0)
    whole = count.watched_s + blind_s
    report = None if row.holder is None else nodes.report(row.holder, camera)
    return CameraStatus(
        camera,
        "" if row.holder is None else row.holder.node,
        0 if row.holder is None else row.holder.epoch,
        "waiting" if row.holder is None else "unknown" if report is None else report.state,
        "" if row.next is None else row.next.node,
        count.watched_s / whole if whole else 0.0,
        blind_s,
        waiting.get(camera, ""),
    )
