"""The table of a fleet: its cameras, who holds them, orders of people, and time watched; stored as a whole or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from monitor.machines.fleet_state import CameraRow, FleetState, NodeRow


class Store(Protocol):
    """Where the state is kept; see StateFile."""

    def load(self) -> FleetState:
        """What was stored."""

    def save(self, state: FleetState) -> None:
        """Store it. Raises OSError."""


@dataclass(slots=True)
class Counts:
    """Seconds watched and not watched, up to ``at``, unix seconds."""

    watched_s: float
    blind_s: float
    at: float


class FleetTable:
    """Only one thread may use it. Raises ConfigError if the stored state cannot be used.

    changed  called with each node that gets other orders by a change
    """

    def __init__(self, store: Store, changed: Callable[[str], None]) -> None:
        self._store, self._changed = store, changed
        self.saved = store.load()
        """What is stored."""
        self.rows = dict(self.saved.cameras)
        """Camera -> its row, to be stored. Change it with ``put`` if its nodes change."""
        self.nodes = dict(self.saved.nodes)
        """Node -> what people have ordered, to be stored."""
        self.dirty = True
        """Whether ``save`` has something to store."""
        self._of: dict[str, set[str]] = {}
        for camera, row in self.rows.items():
            self._index(camera, row)
        self.counts = {camera: _counts_of(row) for camera, row in self.rows.items()}

    @property
    def holders(self) -> Iterable[str]:
        """Nodes that have held cameras, or are to."""
        return self._of.keys()

    def of(self, node: str) -> frozenset[str]:
        """Cameras that a node holds, or is to hold."""
        return frozenset(self._of.get(node, ()))

    def put(self, camera: str, row: CameraRow) -> CameraRow:
        """Replace the row of a camera, or add it. Returns it."""
        if (old := self.rows.get(camera)) is not None:
            self._unindex(camera, old)
        self.rows[camera] = row
        self.counts.setdefault(camera, _counts_of(row))
        self._index(camera, row)
        for turn in (row.holder, row.next):
            if turn is not None:
                self._changed(turn.node)
        self.dirty = True
        return row

    def remove(self, camera: str) -> None:
        """The camera leaves the fleet."""
        self._unindex(camera, self.rows.pop(camera))
        self.counts.pop(camera, None)
        self.dirty = True

    def draining(self, node: str) -> bool:
        """Whether it is to give its cameras away."""
        return self.nodes.get(node, NodeRow()).draining

    def loads(self) -> dict[str, float]:
        """Node -> frames per second of all its cameras, also of those that it is about to get."""
        loads: dict[str, float] = {}
        for row in self.rows.values():
            for name in {turn.node for turn in (row.holder, row.next) if turn is not None}:
                loads[name] = loads.get(name, 0.0) + row.wish.fps
        return loads

    def count(self, camera: str, began_at: float, ended_at: float) -> None:
        """It was watched in this time, unix seconds. What nobody has reported is counted as not watched."""
        count = self.counts[camera]
        if ended_at <= max(count.at, began_at):
            return
        began_at = max(count.at, began_at)
        count.blind_s += began_at - count.at
        count.watched_s += ended_at - began_at
        count.at = ended_at

    def save(self, epoch: int) -> None:
        """Store everything, with the highest epoch that was given. Raises OSError: then all is as it was stored."""
        for camera, count in self.counts.items():
            row = self.rows[camera]
            if row.counted_at != count.at:
                counts = {"watched_s": count.watched_s, "blind_s": count.blind_s, "counted_at": count.at}
                self.rows[camera] = row.model_copy(update=counts)
        state = FleetState.model_construct(
            format="true-sight fleet",
            version=1,
            fleet=self.saved.fleet,
            epoch=epoch,
            cameras=dict(self.rows),
            nodes=dict(self.nodes),
        )
        try:
            self._store.save(state)
        except OSError:
            self._restore()
            raise
        self.saved, self.dirty = state, False

    def _restore(self) -> None:
        self.rows, self.nodes = dict(self.saved.cameras), dict(self.saved.nodes)
        self._of = {}
        for camera, row in self.rows.items():
            self._index(camera, row)
            self.counts.setdefault(camera, _counts_of(row))
        self.counts = {camera: self.counts[camera] for camera in self.rows}

    def _index(self, camera: str, row: CameraRow) -> None:
        for turn in (row.holder, row.next):
            if turn is not None:
                self._of.setdefault(turn.node, set()).add(camera)

    def _unindex(self, camera: str, row: CameraRow) -> None:
        for turn in (row.holder, row.next):
            if turn is not None:
                self._of.get(turn.node, set()).discard(camera)
                self._changed(turn.node)


def _counts_of(row: CameraRow) -> Counts:
    return Counts(row.watched_s, row.blind_s, row.counted_at)
