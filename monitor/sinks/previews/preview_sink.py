"""The sink of live pictures: it serves ``Look``, and publishes pictures of a camera while somebody looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from monitor.alerts.control import Look
from monitor.alerts.control_desk import Asker, Desk, Done
from monitor.alerts.previews import LEASE_S, Kind, preview_topic
from monitor.alerts.publisher import Publisher
from monitor.errors import UsageError
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.sinks.previews.preview_maker import Place, PreviewMaker, Wanted
from monitor.text.wording import counted, listed
from monitor.types import Frame, ScoredFrame

EVERY_S = 0.2
"""Least time between two pictures of a camera and kind, seconds."""
HELD_EVERY_S = 1.0
"""A file that waits until it has been learned from is shown again this often, seconds: no frames come from it."""
_EARLY_S = 0.02  # so that frames at 10 per second give 5 pictures, not 3
_KINDS: tuple[Kind, ...] = ("picture", "heat")


class PreviewSink(Sink):
    """A context manager. While nobody looks, a frame costs one look into an empty table.

    clock  monotonic, seconds
    """

    def __init__(self, publisher: Publisher, clock: Callable[[], float] = time.monotonic) -> None:
        self._publisher, self._clock = publisher, clock
        self._maker = PreviewMaker()
        self._stack = ExitStack()
        self._leases: dict[Place, float] = {}
        self._taken: dict[Place, float] = {}
        self._judged: set[str] = set()
        self._held: dict[str, Frame] = {}  # the last frame of each file that is learned from
        self._known: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._maker)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def serve_at(self, desk: Desk) -> None:
        """Answer requests to look from now on."""
        desk.serve(Look, self._look)

    def added(self, monitor: CameraMonitor) -> None:
        """The camera's frames are judged from now on."""
        self._judged.add(monitor.camera)
        self._held.pop(monitor.camera, None)

    def removed(self, camera: str) -> None:
        """Nobody can look at it any more."""
        self._judged.discard(camera)
        self._held.pop(camera, None)
        for kind in _KINDS:
            self._leases.pop((camera, kind), None)
            self._taken.pop((camera, kind), None)

    def frame(self, scored: ScoredFrame) -> None:
        """Show it as it is; with heat only once it is judged."""
        camera = scored.frame.camera
        if scored.frame.media_s is not None and camera not in self._judged:
            self._held[camera] = scored.frame
        if self._leases:
            self._want((camera, "picture"), Wanted(scored.frame))
            if camera not in self._judged:
                self._want((camera, "heat"), Wanted(scored.frame))

    def score(self, judgement: Judgement) -> None:
        """Show it with heat."""
        if self._leases:
            frame = judgement.scored.frame
            self._want((frame.camera, "heat"), Wanted(frame, judgement))

    def tick(self, report: RunReport) -> None:
        """Publish what is ready, and end what nobody has asked for again."""
        self._known = frozenset(camera.name for camera in report.cameras)
        now = self._clock()
        for place in [place for place, until in self._leases.items() if until <= now]:
            del self._leases[place]
            self._taken.pop(place, None)
        for place in self._leases:
            if place[0] in self._held and now - self._taken.get(place, -HELD_EVERY_S) >= HELD_EVERY_S:
                self._want(place, Wanted(self._held[place[0]]))
        for (camera, kind), made in self._maker.take().items():
            self._publisher.publish_preview(
                camera, kind, made.jpeg, made.size, captured_at=made.captured_at, score=made.score
            )

    def _want(self, place: Place, wanted: Wanted) -> None:
        if place not in self._leases:
            return
        now = self._clock()
        if now - self._taken.get(place, -EVERY_S) < EVERY_S - _EARLY_S or not self._publisher.preview_wanted(*place):
            return
        self._taken[place] = now
        self._maker.want(place, wanted)

    def _look(self, request: Look, _: Asker) -> Done:
        wanted = dict.fromkeys(request.cameras)
        unknown = [camera for camera in wanted if camera not in self._known]
        if len(unknown) == len(wanted):
            there = f"cameras: {listed(sorted(self._known), 10)}" if self._known else "none is watched"
            raise UsageError(f"no camera {listed(unknown, 10)} is watched ({there}): give the name of one that is")
        kind: Kind = "heat" if request.heat else "picture"
        until = self._clock() + LEASE_S
        seen = [camera for camera in wanted if camera not in unknown]
        self._leases |= {(camera, kind): until for camera in seen}
        topics = [preview_topic(camera, kind) for camera in seen]
        said = f"live pictures of {counted(len(seen), 'camera')} for {LEASE_S:g} s"
        return Done(said, {"topics": topics, "lease_s": LEASE_S, "unknown": unknown})
