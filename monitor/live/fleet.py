"""The fleet: one table of cameras, and the only three methods that change it.

Main thread only. A camera's member holds everything that is known about it: source, model, monitor, settings, thread,
figures. A reload and the end of learning call these methods. No other module keeps such a table.
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
    """How a camera must be watched: everything that the settings define for it.

    model        scores its frames
    monitor      judges the scores; None for a camera that has no model yet
    learning     how it learns, or completes the learning of an earlier run; None if it does not learn
    opened_with  if this is equal in two plans of a camera, its stream is opened and captured in the same way
    own_model    True if it uses the model that it has learned itself, False if the settings name one
    judged_by    if this is equal in two plans of a camera, it is scored and judged in the same way
    """

    source: Source
    model: Model
    capture: CaptureSettings
    monitor: CameraMonitor | None = None
    learning: LearningPlan | None = None
    opened_with: tuple[object, ...] = ()
    judged_by: tuple[object, ...] = ()
    own_model: bool = True

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.source.name

    @property
    def hold(self) -> Hold | None:
        """Holds a file while the camera learns from it; None if nothing holds it."""
        return None if self.learning is None else self.learning.hold


class Member:
    """A camera in the fleet, with its capture thread and its current figures."""

    def __init__(self, camera: Camera, feed: Feed, first_segment: int) -> None:
        self.camera = camera
        self.feed = feed
        self.first_segment = first_segment
        """Frames of earlier segments belong to another camera of the same name, which was removed."""
        self.figures = CameraFigures(live=camera.source.live)

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.camera.name

    @property
    def monitor(self) -> CameraMonitor | None:
        """Judges its scores; None while it has no model."""
        return self.camera.monitor

    @property
    def all_judged(self) -> bool:
        """Whether every frame that was read has been taken by the main loop, or was dropped."""
        queue = self.feed.counters
        return self.figures.seen >= queue.put - queue.dropped


class FleetObserver(Protocol):
    """Receives the changes of a fleet: the main loop, which reports them to sinks and to learning."""

    def joined(self, member: Member) -> None:
        """A camera is now in the fleet."""

    def judged_anew(self, member: Member, before: CameraMonitor | None) -> None:
        """A camera has a new model or monitor from its next frame on. before: its previous monitor, or None."""

    def leaving(self, member: Member) -> None:
        """A camera is about to be removed."""


class Fleet:
    """Camera name -> member, with ``add``, ``replace`` and ``remove``, which also work while the pipeline runs."""

    SEGMENTS_PER_CAMERA = 1_000_000
    """The segments of a camera that is added later start at a multiple of this. So frames of a removed camera of the
    same name cannot be taken for frames of the new one."""

    def __init__(self, pipeline: Pipeline, cameras: Iterable[Camera] = ()) -> None:
        self.pipeline = pipeline
        self._members: dict[str, Member] = {}
        self._observer: FleetObserver | None = None
        self._added = 0
        self.changes = 0
        """How often a verb was called: a plan that was made before the last change may be out of date."""
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
        """Report each camera that is already in the fleet to this observer, and every change from now on."""
        self._observer = observer
        for member in self:
            observer.joined(member)

    def add(self, camera: Camera) -> None:
        """Watch an additional camera. The others are not affected."""
        self._added += 1
        self.changes += 1
        member = self._open(camera, self._added * self.SEGMENTS_PER_CAMERA)
        self._hand_over_models()
        if self._observer is not None:
            self._observer.joined(member)

    def replace(self, camera: Camera) -> None:
        """Watch a camera with another model or monitor, or with other settings for them. Its stream stays open.

        The rules of ``capture`` (rate, health, places) hold from the next frame on.

        Raises KeyError if there is no camera of this name.
        """
        member = self._members[camera.name]
        self.changes += 1
        before, member.camera = member.camera, camera
        if self._observer is not None and camera.monitor is not None and camera.monitor is not before.monitor:
            self._observer.judged_anew(member, before.monitor)
        if camera.model is not before.model:
            self._hand_over_models()
            member.feed.capture.watch_for(camera.model)
        if camera.capture != before.capture:
            member.feed.capture.use(camera.capture)

    def remove(self, name: str) -> None:
        """Stop watching a camera. The others are not affected. A read that hangs is left to end by itself.

        Raises KeyError if there is no camera of this name.
        """
        member = self._members[name]
        self.changes += 1
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
        """Give the inference thread a copy of its own, because it never reads this table."""
        self.pipeline.set_models({name: member.camera.model for name, member in self._members.items()})
