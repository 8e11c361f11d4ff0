"""Live pictures in a run with engines: clients look at the run, and the engine of a camera makes its pictures."""

from __future__ import annotations

from collections.abc import Callable

from monitor.alerts.publisher import Publisher
from monitor.app.engines.engine_messages import PreviewTold, Show
from monitor.app.engines.front import Front
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.sinks.previews.preview_leases import KINDS, Place, PreviewLeases


class FrontPreviews(Sink):
    """Tells each engine what somebody looks at, whenever it changes. ``leases`` says who looks. Main thread only."""

    def __init__(self, front: Front, publisher: Publisher, send: Callable[[int, object], None]) -> None:
        self._front, self._publisher, self._send = front, publisher, send
        self.leases = PreviewLeases()
        self._shown: dict[int, frozenset[Place]] = {}
        front.told_preview = self._take

    def removed(self, camera: str) -> None:
        """Nobody can look at it any more. Its engine has forgotten that somebody did."""
        self.leases.removed(camera)
        gone = {(camera, kind) for kind in KINDS}
        self._shown = {engine: places - gone for engine, places in self._shown.items()}

    def tick(self, report: RunReport) -> None:
        """Let engines begin and end."""
        self.leases.tick(report)
        wanted: dict[int, set[Place]] = {engine: set() for engine in self._shown}
        for place in self.leases.places:
            seat = self._front.seats.get(place[0])
            if seat is not None and seat.engine is not None and self._publisher.preview_wanted(*place):
                wanted.setdefault(seat.engine, set()).add(place)
        for engine, places in wanted.items():
            if places != self._shown.get(engine, frozenset()):
                self._send(engine, Show(frozenset(places)))
        self._shown = {engine: frozenset(places) for engine, places in wanted.items() if places}

    def _take(self, engine: int, told: PreviewTold) -> None:
        if self._front.seats.of_engine(engine, told.camera) is not None:
            self._publisher.publish_preview(
                told.camera, told.kind, told.jpeg, told.size, captured_at=told.captured_at, score=told.score
            )
