"""A node's side of its leases: what it watches, for whom it may alert, when it must stop. Pure; the clock is passed in.

A lease counts from the moment when its renewal was asked for. A camera that no voter has renewed for ``LEASE_S`` is let
go. So is one that a voter refuses, or that the orders no longer name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from monitor.machines.fleet_messages import Granted, LetGo, Order, Renewal, Report, Watching
from monitor.machines.leases import LEASE_S, RENEW_EVERY_S

_REQUESTS_KEPT = 20  # replies to older requests come too late to renew anything


class Engine(Protocol):
    """What captures and judges the cameras of a node."""

    def open(self, camera: str, order: Order) -> None:
        """Open and judge a camera; tell nothing yet."""

    def choose(self, camera: str, order: Order) -> None:
        """The head tells what people have chosen for a camera that is open here."""

    def tell(self, camera: str, epoch: int) -> None:
        """Tell its alerts from now on."""

    def let_go(self, camera: str) -> None:
        """Close open events, then the camera. What it had to tell is in the journal when this returns."""

    def state_of(self, camera: str) -> Watching:
        """How the camera is."""


@dataclass(slots=True)
class _Held:
    order: Order
    opened_at: float
    renewed_at: float  # -inf until a voter has agreed: until then, nothing is told
    state: Watching
    state_at: float  # since when the state holds; for an active one, not before it was active


@dataclass(slots=True)
class _Gone:
    """A camera that was let go. request: the first one that tells it; known: whether the coordinator knows it."""

    epoch: int
    began_at: float
    ended_at: float
    request: int
    known: bool = False


class NodeKeeper:
    """Holds the leases of one node.

    boot      names this run of the process
    facts     its capacity in frames per second, labels, and version
    """

    def __init__(
        self,
        name: str,
        boot: str,
        engine: Engine,
        *,
        capacity_fps: float,
        labels: Mapping[str, str] | None = None,
        version: str = "",
    ) -> None:
        self.name, self.boot, self._engine = name, boot, engine
        self.capacity_fps, self.labels, self.version = capacity_fps, dict(labels or {}), version
        self._held: dict[str, _Held] = {}
        self._released: dict[str, _Gone] = {}  # told until the orders have taken it into account
        self._orders = (0, 0)
        self._ordered: dict[str, int] = {}
        self._number = 0
        self._asked: dict[int, tuple[float, dict[str, int]]] = {}
        self._due_at = -math.inf
        self.error = ""
        """Why a voter does not take this node, one sentence; "" if it does."""
        self.expired = 0
        """Cameras that were let go because nobody had renewed their lease."""

    @property
    def cameras(self) -> Mapping[str, int]:
        """Camera -> epoch, of all that are held."""
        return {camera: held.order.epoch for camera, held in self._held.items()}

    @property
    def orders(self) -> Mapping[str, Order]:
        """Camera -> its order, of all that are held."""
        return {camera: held.order for camera, held in self._held.items()}

    @property
    def leaving(self) -> bool:
        """Whether there are cameras that the node has let go, and the coordinator does not know it yet."""
        return any(not gone.known for gone in self._released.values())

    def lease_of(self, camera: str, captured_at: float) -> tuple[int, float] | None:
        """The epoch, and the age of the lease when a frame was captured; None if the node may not alert for it."""
        held = self._held.get(camera)
        if held is None or held.order.role != "active" or held.renewed_at == -math.inf:
            return None
        return held.order.epoch, max(0.0, captured_at - held.renewed_at)

    def due(self, now: float) -> bool:
        """Whether ``renewal`` should be sent."""
        return now >= self._due_at

    def renewal(self, now: float) -> Renewal:
        """What to send to both voters now."""
        self._number += 1
        self._due_at = now + RENEW_EVERY_S
        reports = {}
        for camera, held in self._held.items():
            state = self._engine.state_of(camera)
            if state != held.state:
                held.state, held.state_at = state, now
            reports[camera] = Report(epoch=held.order.epoch, state=state, since_s=max(0.0, now - held.state_at))
        self._asked[self._number] = now, {camera: report.epoch for camera, report in reports.items()}
        for number in [number for number in self._asked if number <= self._number - _REQUESTS_KEPT]:
            del self._asked[number]
        return Renewal(
            node=self.name,
            boot=self.boot,
            number=self._number,
            fresh=self._orders == (0, 0),
            version=self.version,
            capacity_fps=self.capacity_fps,
            labels=self.labels,
            cameras=reports,
            released={
                camera: LetGo(
                    epoch=gone.epoch, since_s=max(0.0, now - gone.began_at), ended_s=max(0.0, now - gone.ended_at)
                )
                for camera, gone in self._released.items()
            },
            orders=self._orders,
        )

    def granted(self, reply: Granted, now: float) -> None:
        """A voter's reply."""
        self.error = reply.error
        asked_at, cameras = self._asked.get(reply.number, (-math.inf, {}))
        refused = frozenset(reply.refused)
        for camera, epoch in cameras.items():
            held = self._held.get(camera)
            if held is None or held.order.epoch != epoch:
                continue
            if camera in refused:
                self._let_go(camera, now)
            else:
                held.renewed_at = max(held.renewed_at, asked_at)
        if reply.at != (0, 0):  # from the coordinator
            for gone in self._released.values():
                gone.known = gone.known or gone.request <= reply.number
        if reply.orders is not None and reply.at > self._orders:
            self._orders = reply.at
            self._ordered = {camera: order.epoch for camera, order in reply.orders.items()}
            self._forget_released()
            self._obey(reply.orders, now)
        else:
            self._forget_released()

    def tick(self, now: float) -> None:
        """Let cameras go if nobody has renewed their lease. Call it several times per second."""
        for camera, held in list(self._held.items()):
            if now - max(held.renewed_at, held.opened_at) > LEASE_S:
                self.expired += held.order.role == "active"
                self._let_go(camera, now)
                continue
            if held.state != "watching" and self._engine.state_of(camera) == "watching":
                self._due_at = now  # the coordinator waits for it

    def close(self, now: float) -> None:
        """Let all cameras go, at the end. A node without capacity does not get them back."""
        self.capacity_fps = 0.0
        for camera in list(self._held):
            self._let_go(camera, now)

    def _forget_released(self) -> None:
        """Forget what the coordinator knows, if it does not want the camera back with the same epoch."""
        for camera, gone in list(self._released.items()):
            ordered = self._ordered.get(camera)
            if gone.known and (ordered is None or ordered > gone.epoch):
                del self._released[camera]

    def _obey(self, orders: Mapping[str, Order], now: float) -> None:
        for camera in sorted(self._held.keys() - orders.keys()):
            self._let_go(camera, now)
        for camera, order in orders.items():
            if camera in self._released and order.epoch <= self._released[camera].epoch:
                continue  # the coordinator does not know yet that it was let go
            held = self._held.get(camera)
            if held is not None and _what(held.order) != _what(order):
                self._let_go(camera, now)
                if order.epoch <= self._released[camera].epoch:
                    continue
                held = None
            if held is None:
                self._engine.open(camera, order)
                standby = order.model_copy(update={"role": "standby"})
                held = self._held[camera] = _Held(standby, now, -math.inf, "opening", now)
                self._due_at = now
            if held.order.choice != order.choice:
                self._engine.choose(camera, order)
            was, held.order = held.order.role, order
            if order.role == "active" and was != "active":
                held.state_at = now
                self._engine.tell(camera, order.epoch)
                self._due_at = now

    def _let_go(self, camera: str, now: float) -> None:
        held = self._held[camera]
        watched = self.lease_of(camera, now) is not None and held.state == "watching"
        ended_at = min(now, held.renewed_at + LEASE_S) if watched else now
        self._engine.let_go(camera)  # with the lease, so that it can close its events
        del self._held[camera]
        began_at = min(held.state_at, ended_at) if watched else now
        self._released[camera] = _Gone(held.order.epoch, began_at, ended_at, self._number + 1)
        self._due_at = now


def _what(order: Order) -> tuple[int, str, str]:
    """What must not change while a camera is open."""
    return order.epoch, order.source, order.settings
