"""Compares a new version of a model with the version before it, on the same frames: how many alarms does each raise?

The detectors of the earlier version are among those of the new one, so its judgements need no scoring of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.scores.calibration import DAY_S
from monitor.states import Phase

_CONFIDENCE = 0.95
_LONGEST_STEP_S = 2.0  # a longer pause between two frames is not time that was watched
_MOST = 10_000  # alarms


class Probation:
    """The alarms of a new version beside those of the version before it.

    before  judges with the earlier version; its alerts are counted, not sent
    names   the new version's detectors, in the order of the detections. All detectors of ``before`` must be among them
    spare   alarms above the expected number that are not held against the new version: 0 for footage that is known to
            be normal, more for footage in which something may have happened

    Raises ValueError if the earlier version has a detector that the new one lacks.
    """

    def __init__(self, before: CameraMonitor, names: Sequence[str], spare: int = 0) -> None:
        if missing := set(before.scale.names) - set(names):
            raise ValueError(f"the new version lacks {', '.join(sorted(missing))}")
        self._before = before
        self._own = [list(names).index(name) for name in before.scale.names]
        self._spare = spare
        self._last: tuple[int, float] | None = None
        self.alarms = self.alarms_before = 0
        """Number of alarms of the new version, and of the version before it."""
        self.watched_s = 0.0
        """Seconds of stream that both have judged."""

    def update(self, judgement: Judgement) -> None:
        """Take the new version's judgement of the next frame."""
        scored = judgement.scored
        own = replace(scored, detections=tuple(scored.detections[i] for i in self._own))
        self.alarms += _starts(judgement)
        self.alarms_before += _starts(self._before.update(own))
        frame = scored.frame
        if self._last is not None and self._last[0] == frame.segment:
            step_s = frame.time_s - self._last[1]
            self.watched_s += step_s if step_s <= _LONGEST_STEP_S else 0.0
        self._last = (frame.segment, frame.time_s)

    @property
    def worse(self) -> bool:
        """Whether the new version raises too many alarms: more than before, and more than its budget explains."""
        per_day = self._before.scale.false_alarms_per_day
        return self.alarms > max(self.alarms_before, most_expected(per_day, self.watched_s)) + self._spare


def most_expected(per_day: float, watched_s: float) -> int:
    """Number of false alarms that is not exceeded with 95 % confidence, at this rate in this time, seconds.

    The number of independent alarms at a constant rate has a Poisson distribution.
    """
    from scipy.special import pdtr  # a third of the time that a command takes to start

    expected = per_day * watched_s / DAY_S
    return next((count for count in range(_MOST) if pdtr(count, expected) >= _CONFIDENCE), _MOST)


def _starts(judgement: Judgement) -> int:
    return sum(alert.event.phase is Phase.START for alert in judgement.alerts)
