"""What people have taught: events that they judged normal. Detectors compare frames with them, at their place and hour.

A detector itself never changes: ``Detector.taught`` returns another one, which shares what was learned and continues
the streams of the first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.types import Frame, Traits

_DAY_H = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """An event that somebody judged normal.

    samples     for some of its frames, in order of time: name of a detector -> what it measured there
    everywhere  False: the verdict holds only where the event was
    hours       (from, to) local time of day, 0 to 24, that the verdict holds for; it may pass midnight; None: all day
    """

    samples: tuple[Mapping[str, Traits], ...]
    everywhere: bool = False
    hours: tuple[float, float] | None = None

    def holds_at(self, hour: float | None) -> bool:
        """Whether the verdict holds at this time of day; None: the time of day is unknown, so it does."""
        if hour is None or self.hours is None:
            return True
        start, end = (bound % _DAY_H for bound in self.hours)
        return start <= hour <= end if start <= end else hour >= start or hour <= end

    def of(self, detector: str) -> list[Traits]:
        """What this detector measured, in order of time; empty if it measured nothing unusual."""
        return [sample[detector] for sample in self.samples if detector in sample]


def hour_of(frame: Frame) -> float | None:
    """The local time of day of a live camera's frame, 0 to 24 hours; None for a file, whose time of day is unknown."""
    return None if frame.media_s is not None else hour_at(frame.wall_time)


def hour_at(unix_s: float) -> float | None:
    """The local time of day at a time (unix seconds), 0 to 24 hours; None if there is no time."""
    if unix_s <= 0:
        return None
    local = time.localtime(unix_s)
    return local.tm_hour + local.tm_min / 60 + local.tm_sec / 3600
