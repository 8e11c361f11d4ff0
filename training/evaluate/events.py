"""Alerts against what was labelled: which events are found, how soon, and how many alarms are false."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from monitor.judging.camera_monitor import Alert
from monitor.states import Phase
from training.evaluate.ranking import Interval

TOLERANCE_S = 2.0
"""An alert may begin this long after an abnormal interval and still belongs to it: as in the demo."""
HOUR_S = 3600.0


@dataclass(frozen=True)
class Alarm:
    """An event of the alert rule, times in seconds of the video.

    started_s   when the score passed the threshold
    raised_s    when the alert was given: the rule waits for the score to stay up
    ended_s     when the score was last over the threshold
    peak_score  1 = the threshold
    detector    which detector spoke loudest at the peak
    reasons     what rose there, in words
    notify      False where a cool-down held the notification back
    """

    video: str
    started_s: float
    raised_s: float
    ended_s: float
    peak_score: float
    peak_s: float
    detector: str
    reasons: tuple[str, ...]
    notify: bool

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.ended_s - self.started_s


class AlarmLog:
    """Makes one Alarm of the steps of each event."""

    def __init__(self, video: str) -> None:
        self._video = video
        self._raised: dict[int, float] = {}
        self.alarms: list[Alarm] = []

    def take(self, alerts: Sequence[Alert], now_s: float) -> list[Alarm]:
        """The alerts that the frame at ``now_s`` gave rise to; returns the alarms that are over with it."""
        over = []
        for alert in alerts:
            event = alert.event
            if event.phase is Phase.START:
                self._raised[event.number] = now_s
            elif event.ended_s is not None:
                over.append(
                    Alarm(
                        self._video,
                        event.started_s,
                        self._raised.pop(event.number),
                        event.ended_s,
                        event.peak_score,
                        event.peak_s,
                        alert.detector,
                        tuple(str(reason) for reason in alert.reasons),
                        event.notify,
                    )
                )
        self.alarms.extend(over)
        return over


@dataclass(frozen=True)
class Truth:
    """What is labelled in one video.

    intervals  (first, last) second of each abnormal interval
    normal_s   seconds of footage that is labelled normal
    """

    video: str
    intervals: tuple[Interval, ...]
    normal_s: float

    @classmethod
    def of_frames(cls, video: str, abnormal: NDArray[np.bool_], time_s: NDArray[np.float64]) -> Truth:
        """From a label, (N,) bool, and media time, (N,) float64 seconds, a frame."""
        edges = np.flatnonzero(np.diff(abnormal.astype(np.int8), prepend=0, append=0))
        intervals = tuple((float(time_s[a]), float(time_s[b - 1])) for a, b in edges.reshape(-1, 2))
        step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
        return cls(video, intervals, float((~abnormal).sum() * step_s))


@dataclass(frozen=True)
class EventFigures:
    """How the alert rule did at the threshold of a budget of false alarms.

    budget_per_day         false alarms a day that the threshold was worked out for
    events, found          abnormal intervals, and those that an alert overlaps
    recall                 found / events; NaN without events
    delay_s                median over those found, from their first frame to the alert; NaN where none was found
    false_alarms           alerts that overlap no abnormal interval
    normal_hours           of footage labelled normal
    false_alarms_per_hour  on that footage; NaN without any
    false_alarms_per_hour_interval  95%, Poisson
    missed                 (video, first second, last second) of the intervals not found
    supported_per_day      the lowest rate of false alarms a day that the model's held-out footage shows
    """

    budget_per_day: float
    events: int
    found: int
    recall: float
    delay_s: float
    false_alarms: tuple[Alarm, ...]
    normal_hours: float
    false_alarms_per_hour: float
    false_alarms_per_hour_interval: Interval | None
    missed: tuple[tuple[str, float, float], ...]
    supported_per_day: float = 0.0


def compare(truth: Sequence[Truth], alarms: Sequence[Alarm], budget_per_day: float) -> EventFigures:
    """Match alarms with the abnormal intervals of their video that they overlap."""
    delays: list[float] = []
    missed = []
    matched: set[int] = set()
    for video in truth:
        own = [(i, alarm) for i, alarm in enumerate(alarms) if alarm.video == video.video]
        for first, last in video.intervals:
            hits = [(i, a) for i, a in own if a.started_s <= last + TOLERANCE_S and a.ended_s >= first]
            matched.update(i for i, _ in hits)
            if hits:
                delays.append(max(0.0, min(a.raised_s for _, a in hits) - first))
            else:
                missed.append((video.video, first, last))
    false = tuple(alarm for i, alarm in enumerate(alarms) if i not in matched)
    hours = sum(video.normal_s for video in truth) / HOUR_S
    low, high = poisson_interval(len(false))
    events = len(delays) + len(missed)
    return EventFigures(
        budget_per_day,
        events,
        len(delays),
        len(delays) / events if events else math.nan,
        median(delays) if delays else math.nan,
        false,
        hours,
        len(false) / hours if hours else math.nan,
        (low / hours, high / hours) if hours else None,
        tuple(missed),
    )


def poisson_interval(count: int, level: float = 0.95) -> Interval:
    """Exact interval of a Poisson mean of which ``count`` were seen (Garwood, Biometrika 28, 1936)."""
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2
