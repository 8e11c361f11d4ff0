"""One camera whose thresholds and memory follow what is watched, in a replay: as the live monitor does it, in order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from monitor.detector.motion.motion_detector import Motion
from monitor.errors import ModelError, UsageError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import LiveCalibration
from monitor.learning.growing_memory import GrowingMemory
from monitor.learning.grown_version import grown_model
from monitor.learning.look import Look
from monitor.model.model_store import Model
from monitor.replay import AS_LIVE, frames, scored
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.source import Source
from monitor.states import Phase
from monitor.stream.frame_rules import FrameRules
from monitor.types import Frame


class Watched:
    """A camera and its present model. ``judgements`` watches a source.

    on    the thresholds follow what is watched
    grow  the memory does, too: a new version is used as soon as it is due
    """

    def __init__(self, model: Model, budget: float, *, on: bool, grow: bool) -> None:
        self.model, self._budget, self._on = model, budget, on
        self.calibration = self._calibrated()
        motion = next((own for own in model.detectors if isinstance(own, Motion)), None)
        self._size = (0, 0) if motion is None else motion.picture_size
        self.memory = GrowingMemory(motion) if grow and motion is not None else None

    def judgements(self, source: Source) -> Iterator[Judgement]:
        """Watch a source to its end."""
        rules = FrameRules(AS_LIVE, self.model.viewpoint, self.model.learned_size)
        stream = frames(source, rules)
        while True:
            monitor = CameraMonitor(
                source.name, self.calibration.scale, SmoothingSettings(), AlertSettings(), calibration=self.calibration
            )
            ended = _Ended()
            for each in scored(ended.watching(stream), self.model):
                judgement = monitor.update(each)
                self._remember(judgement)
                yield judgement
                if self._due():
                    ended.stop = True  # what was read already is judged by this version
            if not ended.stop:
                return
            self._heard(monitor.close())
            self._take_over()

    def _remember(self, judgement: Judgement) -> None:
        memory, frame = self.memory, judgement.scored.frame
        if memory is None or not frame.health.scored:
            return
        raw = {
            detector.name: detection.score
            for detector, detection in zip(self.model.detectors, judgement.scored.detections, strict=True)
        }
        raw.pop(Motion.name)
        memory.take(Look.of(frame, self._size, raw))
        self._heard(judgement.alerts)

    def _heard(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts if self.memory is not None else ():
            assert self.memory is not None
            if alert.event.phase is Phase.START:
                self.memory.alarm_began(alert.event.started_s)
            elif alert.event.ended_s is not None:
                self.memory.alarm_ended(alert.event.ended_s)

    def _due(self) -> bool:
        return self.memory is not None and self.memory.due

    def _take_over(self) -> None:
        assert self.memory is not None
        try:
            model = grown_model(self.model, self.memory.make())
            scale = ModelScale(model, self._budget, SmoothingSettings())
        except (UsageError, ModelError) as error:
            print(f"no version after {self.memory.watched_s / 3600:.1f} h: {error}", file=sys.stderr)
            return
        self.model = model
        self.calibration = LiveCalibration(scale, on=self._on, whole=True)
        thresholds = ", ".join(f"{name} {own.threshold:.2f}" for name, own in self.calibration.scale.scales.items())
        print(f"version after {self.memory.watched_s / 3600:.1f} h: thresholds {thresholds}", file=sys.stderr)

    def _calibrated(self) -> LiveCalibration:
        scale = ModelScale(self.model, self._budget, SmoothingSettings())
        return LiveCalibration(scale, on=self._on, whole=self.model.learned_from_all)


class _Ended:
    """Ends a stream of frames early, so that another model can take the rest."""

    def __init__(self) -> None:
        self.stop = False

    def watching(self, stream: Iterator[Frame]) -> Iterator[Frame]:
        """The frames until ``stop`` is set."""
        while not self.stop:
            frame = next(stream, None)
            if frame is None:
                return
            yield frame
