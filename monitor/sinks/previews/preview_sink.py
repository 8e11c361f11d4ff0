"""The sink of live pictures: it publishes pictures of a camera while somebody looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol, Self

from monitor.alerts.previews import Kind
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.sinks.previews.preview_leases import KINDS, Place, PreviewLeases
from monitor.sinks.previews.preview_maker import PreviewMaker, Wanted
from monitor.types import Frame, ScoredFrame

EVERY_S = 0.2
"""Least time between two pictures of a camera and kind, seconds."""
HELD_EVERY_S = 1.0
"""A file that waits until it has been learned from is shown again this often, seconds: no frames come from it."""
_EARLY_S = 0.02  # so that frames at 10 per second give 5 pictures, not 3


class PreviewOut(Protocol):
    """Where the pictures go: a Publisher, or the run of an engine."""

    def preview_wanted(self, camera: str, kind: Kind) -> bool:
        """Whether anybody would get a picture of this kind."""

    def publish_preview(
        self, camera: str, kind: Kind, jpeg: bytes, size: tuple[int, int], *, captured_at: float, score: float
    ) -> None:
        """Send a picture. See Publisher."""


class PreviewSink(Sink):
    """A context manager. While nobody looks, a frame costs one look into an empty table.

    ``leases`` says who looks.

    clock  monotonic, seconds
    """

    def __init__(self, out: PreviewOut, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self.leases = PreviewLeases(clock)
        self._maker = PreviewMaker()
        self._stack = ExitStack()
        self._taken: dict[Place, float] = {}
        self._judged: set[str] = set()
        self._held: dict[str, Frame] = {}  # the last frame of each file that is learned from

    def __enter__(self) -> Self:
        self._stack.enter_context(self._maker)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def added(self, monitor: CameraMonitor) -> None:
        """The camera's frames are judged from now on."""
        self._judged.add(monitor.camera)
        self._held.pop(monitor.camera, None)

    def removed(self, camera: str) -> None:
        """Nobody can look at it any more."""
        self._judged.discard(camera)
        self._held.pop(camera, None)
        self.leases.removed(camera)
        for kind in KINDS:
            self._taken.pop((camera, kind), None)

    def frame(self, scored: ScoredFrame) -> None:
        """Show it as it is; with heat only once it is judged."""
        camera = scored.frame.camera
        if scored.frame.media_s is not None and camera not in self._judged:
            self._held[camera] = scored.frame
        if self.leases:
            self._want((camera, "picture"), Wanted(scored.frame))
            if camera not in self._judged:
                self._want((camera, "heat"), Wanted(scored.frame))

    def score(self, judgement: Judgement) -> None:
        """Show it with heat."""
        if self.leases:
            frame = judgement.scored.frame
            self._want((frame.camera, "heat"), Wanted(frame, judgement))

    def tick(self, report: RunReport) -> None:
        """Publish what is ready, and end what nobody has asked for again."""
        self.leases.tick(report)
        for place in [place for place in self._taken if place not in self.leases]:
            del self._taken[place]
        now = self._clock()
        for place in self.leases.places:
            if place[0] in self._held and now - self._taken.get(place, -HELD_EVERY_S) >= HELD_EVERY_S:
                self._want(place, Wanted(self._held[place[0]]))
        for (camera, kind), made in self._maker.take().items():
            self._out.publish_preview(
                camera, kind, made.jpeg, made.size, captured_at=made.captured_at, score=made.score
            )

    def _want(self, place: Place, wanted: Wanted) -> None:
        if place not in self.leases:
            return
        now = self._clock()
        if now - self._taken.get(place, -EVERY_S) < EVERY_S - _EARLY_S or not self._out.preview_wanted(*place):
            return
        self._taken[place] = now
        self._maker.want(place, wanted)
