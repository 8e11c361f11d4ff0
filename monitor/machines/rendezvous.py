"""Which node watches which camera: by measured capacity, by labels, and so that few cameras move. Pure.

Weighted rendezvous hashing: each pair of camera and node has a fixed score, and a camera prefers the node with the
highest one. If a node leaves, only its cameras move; if one joins, only cameras that prefer it do. Formula: C.
Schindelhauer and G. Schomaker, "Weighted distributed hash tables", 2005: score = capacity / -ln(hash), hash in (0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

FULL = 0.9
"""A node takes cameras up to this share of its measured capacity."""
_UNEVEN = 0.15  # a node is relieved if its load is so much above the fleet's, as a share of its capacity
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Host:
    """A node that can take cameras.

    capacity_fps  frames per second that it can analyse, as measured; 0 or more
    labels        such as {"site": "south"}
    """

    name: str
    capacity_fps: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Demand:
    """A camera that wants a node.

    fps     frames per second that it needs
    needs   labels that its node must have
    pin     the one node that may watch it; None: any
    avoid   nodes that could not open it lately
    """

    camera: str
    fps: float
    needs: Mapping[str, str] = field(default_factory=dict)
    pin: str | None = None
    avoid: Collection[str] = ()


@dataclass(frozen=True)
class Placed:
    """where: camera -> node, for each that got one; waiting: camera -> why there is none for it, one sentence."""

    where: Mapping[str, str]
    waiting: Mapping[str, str]


def score_of(camera: str, host: Host) -> float:
    """The score of a pair; higher is preferred. 0 for a node without capacity."""
    if host.capacity_fps <= 0:
        return 0.0
    mixed = _mixed(_key(camera) ^ _key(host.name))
    return host.capacity_fps / -math.log((mixed + 0.5) / 2**64) if mixed < _MASK else math.inf


def why_not(demand: Demand, host: Host) -> str:
    """Why this node cannot watch this camera, whatever its load; "" if it can."""
    if demand.pin is not None and host.name != demand.pin:
        return f"it is pinned to {demand.pin}"
    for label, value in demand.needs.items():
        if host.labels.get(label) != value:
            return f"none has the label {label}={value}" if value else f"none has the label {label}"
    if host.name in demand.avoid:
        return f"{host.name} could not open it"
    return ""


def place(demands: Iterable[Demand], hosts: Collection[Host], load_fps: Mapping[str, float]) -> Placed:
    """Place cameras that have no node, the largest first.

    load_fps: node -> frames per second of the cameras that it has already
    """
    load = {host.name: load_fps.get(host.name, 0.0) for host in hosts}
    where: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for demand in sorted(demands, key=lambda demand: (demand.pin is None, -demand.fps, demand.camera)):
        able = [host for host in hosts if not why_not(demand, host)]
        room = [host for host in able if load[host.name] + demand.fps <= FULL * host.capacity_fps]
        if not room:
            waiting[demand.camera] = _why_waiting(demand, hosts, able)
            continue
        best = max(room, key=lambda host: (score_of(demand.camera, host), host.name))
        where[demand.camera] = best.name
        load[best.name] += demand.fps
    return Placed(where, waiting)


def relief(
    demands: Iterable[Demand], hosts: Collection[Host], current: Mapping[str, str], load_fps: Mapping[str, float]
) -> tuple[str, str] | None:
    """One camera that should move, and to which node; None if the load is even enough.

    current: camera -> its node; only these cameras may move
    """
    usable = {host.name: host for host in hosts if host.capacity_fps > 0}
    if len(usable) < 2:
        return None
    share = {name: load_fps.get(name, 0.0) / host.capacity_fps for name, host in usable.items()}
    whole = sum(load_fps.get(name, 0.0) for name in usable) / sum(host.capacity_fps for host in usable.values())
    busiest = max(share, key=lambda name: (share[name], name))
    if share[busiest] <= whole + _UNEVEN:
        return None
    found: tuple[bool, float, str, str] | None = None
    for demand in demands:
        if current.get(demand.camera) != busiest or demand.pin is not None:
            continue
        after = share[busiest] - demand.fps / usable[busiest].capacity_fps
        for host in usable.values():
            then = share[host.name] + demand.fps / host.capacity_fps
            if host.name == busiest or why_not(demand, host) or then > min(after + _UNEVEN, FULL):
                continue
            prefers = score_of(demand.camera, host) > score_of(demand.camera, usable[busiest])
            candidate = (prefers, -then, demand.camera, host.name)
            if found is None or candidate > found:
                found = candidate
    return None if found is None else (found[2], found[3])


def _why_waiting(demand: Demand, hosts: Collection[Host], able: Collection[Host]) -> str:
    if not hosts:
        return f"no node can take {demand.camera}, because none is up: start one"
    if demand.pin is not None and all(host.name != demand.pin for host in hosts):
        return f"no node can take {demand.camera}, because {demand.pin} is away or drained: start it, or remove the pin"
    if not able:
        why = next(reason for host in hosts if (reason := why_not(demand, host)))
        return f"no node can take {demand.camera}, because {why}: change the camera, or add a node that can reach it"
    return (
        f"no node can take {demand.camera}, because none has room for {demand.fps:g} frames per second: add a node, or "
        "lower the analysis rate"
    )


@lru_cache(maxsize=65_536)
def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


def _mixed(value: int) -> int:
    """The finalizer of splitmix64 (Steele, Lea and Flood, 2014): each bit of the input changes half of the output."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)
