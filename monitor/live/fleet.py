"""The fleet: one table of cameras, and the only three verbs that change it.

Main thread only. Everything that is known about a camera stands in its member: source, model, monitor, settings,
thread, figures. A reload and a camera that has learned are calls of these verbs; nobody else keeps such a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.hold import Hold
from monitor.learning.learning_plan import LearningPlan
from monitor.live.camera_figures import CameraFigures
from monitor.live.capture import CaptureSettings
from monitor.live.pipeline import Feed, Pipeline
from monitor.model.model_store import Model
from monitor.sources.source import Source


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera as it is to be watched: everything that the settings say about it.

    model        scores its frames
    monitor      judges the scores; None for a camera that has no model yet
    learning     how it learns, or completes what an earlier run began; None if it does not
    opened_with  equal for two plans of a camera whose stream is opened and captured alike
    judged_by    equal for two plans of a camera that is scored and judged alike
    """

    source: Source
    model: Model
    capture: CaptureSettings
    monitor: CameraMonitor | None = None
    learning: LearningPlan | None = None
    opened_with: tuple[object, ...] = ()
    judged_by: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.source.name

    @property
    def hold(self) -> Hold | None:
        """What holds a file while it is learned from."""
        return None if self.learning is None else self.learning.hold


class Member:
    """A camera in the fleet, with its capture thread and its running figures."""

    def __init__(self, camera: Camera, feed: Feed, first_segment: int) -> None:
        self.camera = camera
        self.feed = feed
        self.first_segment = first_segment
        """Frames of earlier segments are those of another camera of this name, which was removed."""
        self.figures = CameraFigures()

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.camera.name

    @property
    def monitor(self) -> CameraMonitor | None:
        """What judges its scores; None while it has no model."""
        return self.camera.monitor


class FleetObserver(Protocol):
    """Follows the changes of a fleet: the main loop, which passes them on to sinks and to learning."""

    def joined(self, member: Member) -> None:
        """A camera is in the fleet."""

    def judged_anew(self, member: Member, before: CameraMonitor | None) -> None:
        """A camera has another model or monitor than before, from its next frame on."""

    def leaving(self, member: Member) -> None:
        """A camera is about to be removed."""


class Fleet:
    """Name -> member, and ``add``, ``replace``, ``remove``. Cameras may change before and while the pipeline runs."""

    SEGMENTS_PER_CAMERA = 1_000_000
    """Segments of a camera that is added later begin at a multiple of this: no frame of its predecessor can be
    mistaken for one of its own."""

    def __init__(self, pipeline: Pipeline, cameras: Iterable[Camera] = ()) -> None:
        self.pipeline = pipeline
        self._members: dict[str, Member] = {}
        self._observer: FleetObserver | None = None
        self._added = 0
        for camera in cameras:
            self._open(camera, first_segment=0)
        self._hand_over_models()

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def get(self, name: str) -> Member | None:
        """The camera of this name; None if there is none."""
        return self._members.get(name)

    def observe(self, observer: FleetObserver) -> None:
        """Report every change to this observer from now on, and each camera that is in the fleet already."""
        self._observer = observer
        for member in self:
            observer.joined(member)

    def add(self, camera: Camera) -> None:
        """Watch a further camera; the others are not touched."""
        self._added += 1
        member = self._open(camera, self._added * self.SEGMENTS_PER_CAMERA)
        self._hand_over_models()
        if self._observer is not None:
            self._observer.joined(member)

    def replace(self, camera: Camera) -> None:
        """Watch a camera with another model, monitor or settings of these; its stream is not opened again.

        Raises KeyError if there is no camera of this name.
        """
        member = self._members[camera.name]
        before, member.camera = member.camera, camera
        if self._observer is not None and camera.monitor is not None and camera.monitor is not before.monitor:
            self._observer.judged_anew(member, before.monitor)
        if camera.model is not before.model:
            self._hand_over_models()
            member.feed.capture.watch_for(camera.model)

    def remove(self, name: str) -> None:
        """Stop watching a camera; the others are not touched. A read that hangs is left behind and ends by itself.

        Raises KeyError if there is no camera of this name.
        """
        member = self._members[name]
        if self._observer is not None:
            self._observer.leaving(member)
        del self._members[name]
        self.pipeline.close(member.feed)
        self._hand_over_models()

    def _open(self, camera: Camera, first_segment: int) -> Member:
        feed = self.pipeline.open(camera.source, camera.model, camera.capture, first_segment, camera.hold)
        member = self._members[camera.name] = Member(camera, feed, first_segment)
        return member

    def _hand_over_models(self) -> None:
        """The inference thread gets a snapshot of its own: it never looks at this table."""
        self.pipeline.set_models({name: member.camera.model for name, member in self._members.items()})
