"""Compares alerts with labels: which events are found, with what delay, and how many alarms are false."""

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
"""An alert belongs to an abnormal interval if it begins at most this many seconds after it, as in the demo. An interval
that begins at most this many seconds after another one continues it."""
LABEL_S = 0.5
"""Labels are no more exact than this, seconds: an alert that comes earlier by this much, and stays on, is in time."""
HOUR_S = 3600.0


@dataclass(frozen=True)
class Alarm:
    """An event of the alert rule. Times are seconds of the video.

    started_s   when the score passed the threshold
    raised_s    when the alert was raised; this is later, because the rule waits until the score has stayed high
    ended_s     when the score was last above the threshold
    peak_score  highest score, 1 = the threshold
    peak_s      time of the highest score
    detector    the detector with the highest score at the peak
    reasons     what rose at the peak, as text
    notify      False if a cool-down held the notification back
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
    """Combines the steps of each event into one Alarm."""

    def __init__(self, video: str) -> None:
        self._video = video
        self._raised: dict[int, float] = {}
        self.alarms: list[Alarm] = []

    def take(self, alerts: Sequence[Alert], now_s: float) -> list[Alarm]:
        """Add the alerts of the frame at ``now_s``. Returns the alarms that end with this frame."""
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
    """The labels of one video.

    intervals  (first, last) second of each abnormal interval
    normal_s   seconds of footage that is labelled normal
    """

    video: str
    intervals: tuple[Interval, ...]
    normal_s: float

    @classmethod
    def of_frames(cls, video: str, abnormal: NDArray[np.bool_], time_s: NDArray[np.float64]) -> Truth:
        """Create it from one label, (N,) bool, and one media time in seconds, (N,) float64, per frame."""
        edges = np.flatnonzero(np.diff(abnormal.astype(np.int8), prepend=0, append=0))
        intervals = tuple((float(time_s[a]), float(time_s[b - 1])) for a, b in edges.reshape(-1, 2))
        step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
        return cls(video, intervals, float((~abnormal).sum() * step_s))


@dataclass(frozen=True)
class EventFigures:
    """Results of the alert rule at the threshold for a false-alarm budget.

    budget_per_day         false alarms per day; sets the threshold
    events, found          number of abnormal intervals, and of those in which an alert was raised. An alert that was
                           raised before tells nobody of the interval, even if it is still on
    recall                 found / events; NaN without events
    delay_s                median seconds from the first frame of a found interval to its alert; NaN if none was raised
    false_alarms           alerts that were raised in no abnormal interval
    normal_hours           hours of footage labelled normal
    false_alarms_per_hour  false alarms per hour of that footage; NaN without such footage
    false_alarms_per_hour_interval  95 % Poisson interval
    missed                 (video, first second, last second) of each interval that was not found
    already_on             number of missed intervals in which an earlier alert was still on
    supported_per_day      the lowest false-alarm rate per day that the model's held-out footage can confirm
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
    already_on: int = 0
    supported_per_day: float = 0.0


def compare(truth: Sequence[Truth], alarms: Sequence[Alarm], budget_per_day: float) -> EventFigures:
    """Match alarms with the abnormal intervals of the same video in which they were raised.

    An interval that continues another one is also found by the alarm of that one, if it is still on. This has no delay.
    """
    delays: list[float] = []
    missed = []
    found = already_on = 0
    matched: set[int] = set()
    for video in truth:
        own = [(i, alarm) for i, alarm in enumerate(alarms) if alarm.video == video.video]
        before_s, hits = -math.inf, list[tuple[int, Alarm]]()
        for first, last in video.intervals:
            still_on = [(i, a) for i, a in own if a.raised_s < first - LABEL_S and a.ended_s >= first]
            continued = [hit for hit in still_on if hit in hits] if first - before_s <= TOLERANCE_S else []
            in_time = [(i, a) for i, a in own if a.raised_s >= first - LABEL_S and a.ended_s >= first]
            raised = [(i, a) for i, a in in_time if a.started_s <= last + TOLERANCE_S]
            before_s, hits = last, continued + raised
            matched.update(i for i, _ in hits)
            found += bool(hits)
            if continued:
                continue
            if raised:
                delays.append(max(0.0, min(a.raised_s for _, a in raised) - first))
            else:
                missed.append((video.video, first, last))
                already_on += bool(still_on)
    false = tuple(alarm for i, alarm in enumerate(alarms) if i not in matched)
    hours = sum(video.normal_s for video in truth) / HOUR_S
    low, high = poisson_interval(len(false))
    events = found + len(missed)
    return EventFigures(
        budget_per_day,
        events,
        found,
        found / events if events else math.nan,
        median(delays) if delays else math.nan,
        false,
        hours,
        len(false) / hours if hours else math.nan,
        (low / hours, high / hours) if hours else None,
        tuple(missed),
        already_on,
    )


def poisson_interval(count: int, level: float = 0.95) -> Interval:
    """Exact interval of a Poisson mean after ``count`` observed events (Garwood, Biometrika 28, 1936)."""
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2
