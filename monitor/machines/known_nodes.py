"""What a coordinator knows of its nodes: what they say of themselves, when they were heard, and by whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.machines.fleet_messages import Renewal, Report
from monitor.machines.fleet_state import Turn
from monitor.machines.rendezvous import Host

SUSPECT_S = 5.0
"""A node that the gateway has not heard for so long is suspected: others begin to open its cameras."""


@dataclass(slots=True)
class KnownNode:
    """boot: the run of its process, former: earlier ones; seen: (term, version) of the orders that it has; orders: the
    version that it should have. The rest as in its last Renewal."""

    boot: str = ""
    former: set[str] = field(default_factory=set)
    heard_at: float = -1e18
    capacity_fps: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    reports: Mapping[str, Report] = field(default_factory=dict)
    seen: tuple[int, int] = (0, 0)
    orders: int = 1

    def heard(self, renewal: Renewal, now: float) -> bool:
        """It asks to renew its leases. Returns whether its process is another one than before."""
        other = renewal.boot != self.boot
        if other and self.boot:
            self.former.add(self.boot)
        self.boot = renewal.boot
        self.heard_at, self.seen = now, renewal.orders
        self.capacity_fps, self.labels, self.version = renewal.capacity_fps, renewal.labels, renewal.version
        self.reports = renewal.cameras
        return other


class KnownNodes:
    """All nodes that have asked since ``started_at``. Times are of the clock of leases."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._nodes: dict[str, KnownNode] = {}
        self._changed: set[str] = set()
        self.gateway: tuple[float, Mapping[str, float]] | None = None
        """When the gateway has answered last, and how long before it had heard each node, seconds."""

    @property
    def names(self) -> Sequence[str]:
        """In order."""
        return sorted(self._nodes)

    def named(self, name: str) -> KnownNode:
        """A node that asks; a new one if it is not known."""
        return self._nodes.setdefault(name, KnownNode())

    def named_or_new(self, name: str) -> KnownNode:
        """A node, perhaps one that has not asked yet."""
        return self._nodes.get(name, KnownNode())

    # Orders

    def changed(self, name: str) -> None:
        """Its orders are other ones from now on."""
        if (node := self._nodes.get(name)) is not None:
            node.orders += 1
            self._changed.add(name)

    def all_changed(self) -> None:
        """The same, for all of them."""
        for name in self._nodes:
            self.changed(name)

    def take_changed(self) -> set[str]:
        """Those that have other orders since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def behind(self, term: int, now: float) -> set[str]:
        """Those that do not have their orders, and are not heard."""
        return {
            name
            for name, node in self._nodes.items()
            if node.seen != (term, node.orders) and now - node.heard_at > SUSPECT_S
        }

    # What they say

    def host(self, name: str) -> Host:
        """As a place for cameras."""
        node = self.named_or_new(name)
        return Host(name, node.capacity_fps, node.labels)

    def labels_of(self, name: str) -> Mapping[str, str]:
        """Its labels."""
        return self.named_or_new(name).labels

    def report(self, turn: Turn, camera: str) -> Report | None:
        """What the node of a lease says of its camera; None if it says nothing of this lease."""
        node = self._nodes.get(turn.node)
        report = None if node is None else node.reports.get(camera)
        return report if report is not None and report.epoch == turn.epoch else None

    # Whether they are there

    def heard_lately(self, name: str, now: float) -> bool:
        """Whether the coordinator itself hears it."""
        return name in self._nodes and now - self._nodes[name].heard_at <= SUSPECT_S

    def gateway_alive(self, now: float) -> bool:
        """Whether the gateway has answered lately. Without it, no camera changes its node."""
        return self.gateway is not None and now - self.gateway[0] <= SUSPECT_S

    def gateway_age(self, name: str, now: float) -> float:
        """Seconds between the last renewal of a node and the last answer of the gateway; 0 if nobody knows."""
        if self.gateway is None or not self.gateway_alive(now):
            return 0.0
        at, heard = self.gateway
        return heard.get(name, at - self._started_at)

    def lost(self, name: str, now: float) -> bool:
        """Whether the gateway has not heard it for too long."""
        return self.gateway_age(name, now) > SUSPECT_S

    def usable(self, name: str, now: float) -> bool:
        """Whether both hear it."""
        return self.heard_lately(name, now) and self.gateway_alive(now) and not self.lost(name, now)
