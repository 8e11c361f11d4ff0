"""The most unusual moments of one day of one camera, the most unusual first. Pure: no clock, no files.

A moment is the peak of what happens in one place within some minutes, whether or not it alarmed. Moments are ranked by
their score at the threshold of the budget. When the scale changes, all moments of the day are ranked by the new one: in
the first hours of a camera, scales change much.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.judging.cool_down import Cause
from monitor.judging.fusion import ModelScale
from monitor.states import Reason, Region
from monitor.text.durations import in_words

APART_S = 300.0
"""Peaks of one thing in one place that are closer together than this, seconds, are one moment."""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class DayMoment:
    """One moment.

    moment_id  names it, over restarts
    at         unix seconds; local: the same as ISO 8601 text by the camera's clock; media_s: where in its file, or None
    raw        sense -> its score, raw units
    model      the model that scored it: its name and its hash
    score      at the threshold of the budget; comparable within the day
    cause      the sense that it is about, and where
    event_id   the alert that covers it; None if it raised none
    normal_at  when the nearest normal picture beside it was taken, unix seconds; None without one
    """

    moment_id: str
    at: float
    local: str
    media_s: float | None
    raw: Mapping[str, float]
    model: tuple[str, str]
    score: float
    cause: Cause
    reasons: tuple[Reason, ...] = ()
    regions: tuple[Region, ...] = ()
    event_id: str | None = None
    normal_at: float | None = None

    @property
    def day(self) -> str:
        """The day it belongs to by the camera's clock, such as 2026-03-02."""
        return self.local[:10]

    def is_part_of(self, other: DayMoment) -> bool:
        """Whether both are peaks of one thing: close in time, and in one place as far as is known."""
        return abs(self.at - other.at) < APART_S and Cause("", self.cause.place).repeats(Cause("", other.cause.place))


@dataclass(frozen=True, slots=True)
class Change:
    """What a new moment has changed.

    replaced  moments that it is part of
    dropped   moments that are among the first no more
    """

    replaced: tuple[DayMoment, ...] = ()
    dropped: tuple[DayMoment, ...] = ()


class DayRanking:
    """The first ``most`` moments of a day. moments: those that are known already."""

    def __init__(self, most: int, moments: Sequence[DayMoment] = ()) -> None:
        self._most = most
        self.moments = _sorted(moments)[:most]
        """The most unusual first."""

    def is_worth(self, score: float) -> bool:
        """Whether a moment of this score may be among the first: only then its picture is worth keeping."""
        if not score > 0:  # not more than typical, or unknown
            return False
        return len(self.moments) < self._most or score > self.moments[-1].score

    def offer(self, moment: DayMoment) -> Change | None:
        """Take a moment. Returns what it has changed; None if it is not among the first."""
        near = tuple(known for known in self.moments if known.is_part_of(moment))
        if not self.is_worth(moment.score) or any(known.score >= moment.score for known in near):
            return None
        kept = [known for known in self.moments if known not in near]
        ranked = _sorted([*kept, moment])
        self.moments, dropped = ranked[: self._most], tuple(ranked[self._most :])
        return None if moment in dropped else Change(near, dropped)

    def rescale(self, scale: ModelScale) -> None:
        """Rank by another scale of the same model. Moments of another model keep their scores."""
        model = (scale.model.name, scale.model.hash)
        self.moments = _sorted(
            [
                replace(known, score=score)
                if known.model == model and not math.isnan(score := scale.at_budget(known.raw))
                else known
                for known in self.moments
            ]
        )


def _sorted(moments: Sequence[DayMoment]) -> list[DayMoment]:
    return sorted(moments, key=lambda moment: (-moment.score, moment.at))


@dataclass(frozen=True, slots=True)
class PastDay:
    """What is remembered of a day: the seconds watched, the scores of its moments, and whether more were not kept."""

    watched_s: float
    scores: tuple[float, ...]
    full: bool


def how_rare(score: float, days: Sequence[PastDay]) -> str:
    """In words how often something like it has come, the moment itself not counted.

    An example: ``something like it came once in 9 days``. Something like it is at least as unusual.

    days  all days that are remembered, with that of the moment
    """
    watched_s = math.fsum(day.watched_s for day in days)
    count, more = -1, False
    for day in days:
        ascending = sorted(day.scores)
        alike = len(ascending) - bisect_left(ascending, score)
        count += alike
        more = more or (day.full and alike == len(ascending))
    period = f"{round(watched_s / _DAY_S)} days" if watched_s >= 1.5 * _DAY_S else in_words(watched_s)
    if count <= 0:
        return f"nothing like it in {period}"
    times = {1: "once", 2: "twice"}.get(count, f"{count} times")
    return f"something like it came {'at least ' if more else ''}{times} in {period}"
