"""Puts a new version of a model on trial before it replaces the version in use.

Both versions judge the footage that they have learned from, which is normal, and what has been watched since the
earlier version took over. If the new version raises more alarms, it is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from monitor.errors import CaptureError, SourceError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.judging.probation import Probation
from monitor.learning.footage import FootageSource, is_footage
from monitor.model.model_store import Model
from monitor.replay import AS_LIVE, frames, judged, scored
from monitor.scores.smoothing import SmoothingSettings
from monitor.stream.frame_rules import UNCHECKED, FrameRules
from monitor.text.durations import in_words
from monitor.text.wording import counted
from monitor.types import Frame
from training.learn.normal_footage import Stretch
from training.progress import Report

_WATCHED_SPARE = 1  # something may really have happened while the camera was watched
_PAUSE_S = 60.0  # between two stretches: an event of one must not silence an event of the next


def why_worse(
    before: Model,
    new: Model,
    stretches: Sequence[Stretch],
    report: Report,
    *,
    false_alarms_per_day: float,
    watched: Path | None = None,
    analysis_fps: float = AS_LIVE.analysis_fps,
) -> str | None:
    """Why the new version is worse than the one before it, in words; None if it is not.

    stretches  normal footage that both have learned from
    watched    recording of what was watched with ``before``; None, or a missing folder, if there is none
    """
    names = tuple(detector.name for detector in new.detectors)
    if not {detector.name for detector in before.detectors} <= set(names):
        return None  # they judge by other detectors, so their alarms are not comparable
    with report.steps("comparing the new version with the one before", None) as step:

        def told(footage: Iterator[Frame]) -> Iterator[Frame]:
            for frame in footage:
                step.frame()
                yield frame

        own = _judge(before, new, told(_joined(stretches)), false_alarms_per_day, spare=0)
        if own.worse:
            return _words(own, "the footage that it learned from")
        if watched is None or not is_footage(watched):
            return None
        try:
            live = _judge(before, new, told(_recorded(watched, analysis_fps)), false_alarms_per_day, _WATCHED_SPARE)
        except (CaptureError, SourceError):
            return None  # what cannot be read proves nothing
        return _words(live, "what was watched meanwhile") if live.worse else None


def _judge(before: Model, new: Model, footage: Iterator[Frame], false_alarms_per_day: float, spare: int) -> Probation:
    names = tuple(detector.name for detector in new.detectors)
    probation = Probation(_monitor(before, false_alarms_per_day), names, spare)
    for judgement in judged(scored(footage, new), _monitor(new, false_alarms_per_day)):
        probation.update(judgement)
    return probation


def _monitor(model: Model, false_alarms_per_day: float) -> CameraMonitor:
    """A monitor with the default settings. Raises ModelError if the model gives no threshold."""
    smoothing = SmoothingSettings()
    return CameraMonitor(model.name, ModelScale(model, false_alarms_per_day, smoothing), smoothing, AlertSettings())


def _joined(stretches: Sequence[Stretch]) -> Iterator[Frame]:
    """The frames of all stretches on one time axis. Each stretch is a segment."""
    end_s = 0.0
    for number, stretch in enumerate(stretches):
        for frame, time_s in zip(stretch, stretch.times, strict=True):
            yield replace(frame, segment=number, time_s=end_s + time_s - stretch.times[0])
        end_s += stretch.duration_s + _PAUSE_S


def _recorded(folder: Path, analysis_fps: float) -> Iterator[Frame]:
    """The frames of a recording, whose health was checked when it was recorded."""
    rules = FrameRules(replace(AS_LIVE, analysis_fps=analysis_fps, health=UNCHECKED))
    return frames(FootageSource(folder), rules)


def _words(probation: Probation, where: str) -> str:
    return (
        f"in {in_words(probation.watched_s)} of {where}, it raised {counted(probation.alarms, 'alarm')}, "
        f"the version before it {probation.alarms_before}"
    )
