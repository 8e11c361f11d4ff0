"""The exchange of a camera's first version for a better one: what is recorded before it, and what is watched after it.

While the better version is learned, the frames that are watched are recorded. The process that learns judges them by
both versions (``training.learn.trial``). After the exchange, the first version judges the same frames for a day, at no
cost, because its detectors are among those of the better one. If the better one raises too many alarms, it is worse.
"""

from __future__ import annotations

from pathlib import Path

from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.judging.probation import Probation
from monitor.learning.footage import recording_rate, remove_footage
from monitor.learning.footage_recorder import FootageRecorder
from monitor.learning.learning_plan import LearningPlan
from monitor.scores.calibration import DAY_S
from monitor.text.durations import in_words
from monitor.text.wording import counted

RECORD_S = 600.0
"""Seconds of stream to record while the better version is learned."""
PROBATION_S = DAY_S
"""Seconds of stream for which the better version is compared with the first."""
_SPARE = 2  # something may really happen in front of the camera


class Takeover:
    """One camera's exchange of versions. Only the main thread calls its methods."""

    def __init__(self, plan: LearningPlan) -> None:
        self._plan = plan
        self._recorder: FootageRecorder | None = None
        self._probation: Probation | None = None
        self._judged_by: object = None
        self._version: Path | None = None

    def record(self) -> None:
        """Record what is watched from now on. An earlier recording is removed."""
        plan = self._plan
        remove_footage(plan.watched)
        self._recorder = FootageRecorder(
            plan.watched, plan.label, RECORD_S, fps=recording_rate(plan.analysis_fps), live=True
        )

    def took_over(self, version: Path, monitor: CameraMonitor, before: CameraMonitor | None) -> None:
        """A version judges from now on. before: the monitor of the version before it; None if there was none."""
        self.close()
        if before is None or not set(before.scale.names) <= set(monitor.scale.names):
            return
        before.close()
        self._version, self._judged_by = version, monitor.scale
        self._probation = Probation(before, monitor.scale.names, _SPARE)

    def take(self, judgement: Judgement) -> None:
        """Take the judgement of the next frame that is watched."""
        if self._recorder is not None and not self._recorder.done:
            self._recorder.take(judgement.scored.frame)
        if self._probation is None:
            return
        if judgement.scale is not self._judged_by or self._probation.watched_s > PROBATION_S:
            self._probation = None  # the settings have changed, or the day is over
        else:
            self._probation.update(judgement)

    def take_worse(self) -> tuple[Path, str] | None:
        """The version that has turned out worse than the one before it, and why; then its probation is over."""
        probation, version = self._probation, self._version
        if probation is None or version is None or not probation.worse:
            return None
        self._probation = None
        raised, watched = counted(probation.alarms, "alarm"), in_words(probation.watched_s)
        why = f"in {watched}, it raised {raised}, the version before it would have raised {probation.alarms_before}"
        return version, why

    def close(self) -> None:
        """End the recording and remove it."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()
            remove_footage(self._plan.watched)
