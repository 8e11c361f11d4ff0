"""A detector that can be taught, and events of it: brightness, of which people may say that some levels are normal."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.detector.base import Observation
from monitor.detector.lessons import Lesson, hour_of
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.live_calibration import LiveCalibration
from monitor.model.model_store import Model
from monitor.scores.smoothing import SmoothingSettings
from monitor.states import Phase
from monitor.testing.fakes import Brightness, brightness_model, brightness_scale, frame
from monitor.types import Bools, Detection, ScoredFrame, Traits

_NEAR, _NORMAL = 0.05, 0.1


class Teachable(Brightness):
    """Scores brightness. Levels that a lesson knows are as normal as 0.1. Its streams count frames."""

    def __init__(self) -> None:
        self._origin: Teachable = self
        self._lessons: tuple[Lesson, ...] = ()

    @property
    def origin(self) -> Teachable:
        return self._origin

    def taught(self, lessons: Sequence[Lesson]) -> Teachable:
        if not any(lesson.of(self.name) for lesson in lessons):
            return self._origin
        other = copy.copy(self._origin)
        other._lessons = tuple(lessons)
        return other

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        found = []
        for each, observation in zip(super().score(batch), batch, strict=True):
            traits: Traits | None = {"level": np.array([each.score], np.float32)} if each.score > 0.2 else None
            found.append(replace(each, score=self._known(each.score, hour_of(observation.frame)), traits=traits))
        return found

    def again(self, score: float, traits: Traits, hour: float | None) -> tuple[float, Bools | None]:  # noqa: ARG002
        return self._known(float(traits["level"][0]), hour), None

    def _known(self, level: float, hour: float | None) -> float:
        levels = [float(t["level"][0]) for each in self._lessons if each.holds_at(hour) for t in each.of(self.name)]
        return _NORMAL if any(abs(level - known) <= _NEAR for known in levels) else level


def teachable_model() -> Model:
    """A model with this detector alone."""
    return replace(brightness_model(), detectors=(Teachable(),))


def monitor_that_learns_on(camera: str = "door", model: Model | None = None) -> CameraMonitor:
    """A monitor whose threshold follows what is watched."""
    scale = brightness_scale(model)
    return CameraMonitor(
        camera, scale, SmoothingSettings(), AlertSettings(), calibration=LiveCalibration(scale, on=True)
    )


def shown(model: Model, monitor: CameraMonitor, levels: Sequence[int], start_s: float = 0.0) -> list[Alert]:
    """Judge a second of frames per grey level; returns the steps of events."""
    detector, stream, alerts = model.detectors[0], model.detectors[0].new_stream(), list[Alert]()
    for number, level in enumerate(level for level in levels for _ in range(10)):
        made = frame(start_s + number / 10, level, monitor.camera)
        detection = detector.score([Observation(made, stream)])[0]
        alerts += monitor.update(ScoredFrame(made, (detection,), 0.0)).alerts
    return alerts


def event_of(level: int, camera: str = "door", model: Model | None = None) -> Alert:
    """A whole event in which the picture has this grey level."""
    model = model or teachable_model()
    alerts = shown(model, monitor_that_learns_on(camera, model), [25] * 3 + [level] * 3 + [25] * 4)
    return next(alert for alert in alerts if alert.event.phase is Phase.END)
