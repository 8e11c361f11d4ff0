"""From verdicts to what a camera's chain is given: a model that knows lessons, and examples with names. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.detector.base import Detector
from monitor.detector.lessons import Lesson
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.event_traits import EventTraits, Sample
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model
from monitor.scores.smoothing import SmoothingSettings
from monitor.states import Phase
from monitor.types import Detection, Frame, ScoredFrame

_NOTHING = np.zeros((2, 2, 3), np.uint8)
_NOTHING.flags.writeable = False


def taught_model(model: Model, lessons: Sequence[Lesson]) -> Model:
    """The model with these lessons and no others; itself if this changes nothing. Its name and hash stay."""
    detectors = tuple(detector.origin.taught(lessons) for detector in model.detectors)
    if all(one is other for one, other in zip(detectors, model.detectors, strict=True)):
        return model
    return replace(model, detectors=detectors)


def would_alert(
    traits: EventTraits,
    detectors: Sequence[Detector],
    scale: ModelScale,
    smoothing: SmoothingSettings,
    alert: AlertSettings,
) -> bool:
    """Whether an event would be raised if the frames that are kept of it came again: judged by the chain of a camera.

    False if the model has other detectors now.
    """
    if traits.names != scale.names or not traits.samples:
        return False
    monitor = CameraMonitor("", scale, smoothing, alert)
    hour = None if traits.hours is None else traits.hours[0]
    for number, sample in enumerate(traits.samples):
        frame = Frame("", number, sample.time_s, _NOTHING)
        judgement = monitor.update(ScoredFrame(frame, _again(sample, detectors, hour), 0.0))
        if any(step.event.phase is Phase.START for step in judgement.alerts):
            return True
    return False


def _again(sample: Sample, detectors: Sequence[Detector], hour: float | None) -> tuple[Detection, ...]:
    """What the detectors would say of a frame of which only the sample is kept."""
    found: list[Detection] = []
    excused = None
    for detector, score in zip(detectors, sample.scores, strict=True):
        traits = sample.traits.get(detector.name)
        if traits is not None and not math.isnan(score):
            score, left_out = detector.again(score, traits, hour)
            excused = (detector.sees, left_out) if left_out is not None and left_out.any() else excused
        heat = None if traits is None else traits.get("map")
        found.append(Detection(score, None if heat is None else heat.astype(np.float32)))
    if excused is not None:
        sees, left_out = excused
        for i, detector in enumerate(detectors):
            if detector.sees == sees and found[i].anomaly_map is not None:
                found[i] = detector.without(found[i], left_out)
    return tuple(replace(each, anomaly_map=None) for each in found)
