"""Thresholds that follow what is watched: how high the scores of an ordinary day of this camera are.

Footage that was learned from shows only part of what is normal, and its cross-fitted scores differ from live ones. So
the highest score of every half minute that lasts long enough for an alarm (see ``lasting``) is kept, and the threshold
is computed from those of the last week.

What nobody has judged may be abnormal. Such a peak counts as "at least the threshold in force", not with its full
height. So one event does not raise the threshold much, and the rate of alarms still returns to the budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.judging.fusion import ModelScale, allowed_per_day
from monitor.scores.calibration import ASSUMED_PEAKS, DAY_S, DECLUSTER_S, ScoreScale, ScoreTail, predicted

BLOCK_S = DECLUSTER_S
"""Seconds of judged stream whose highest score is kept."""
KEPT_DAYS = 7
MOST_BLOCKS = int(KEPT_DAYS * DAY_S / BLOCK_S)
"""Number of blocks that are kept; older ones are forgotten."""
Judged = dict[str, list[tuple[int, float, float]]]
"""Sense -> blocks as they were before somebody judged them: number, highest score, limit."""
LEAST_BLOCKS = 20
"""The threshold follows what is watched from this number of blocks on: ten minutes."""
_QUANTILE = 0.95
"""The tail of the blocks' highest scores starts at this quantile: about 140 peaks per day."""
_LONGEST_STEP_S = 2.0  # a longer pause between two frames is not time that was watched


@dataclass(eq=False)
class Peaks:
    """The highest scores of one sense, block by block, oldest first.

    highest   raw units of the sense; values of float32, so that files hold exactly what was judged by
    limits    the threshold in force if the block was part of an alarm, otherwise infinity
    numbers   number of each block, counted from the first one of the camera
    """

    highest: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.numbers) != len(self.highest):
            self.numbers = list(range(len(self.highest)))

    def add(self, highest: float, limit: float, number: int) -> None:
        """Add a block. The oldest ones are forgotten when there are too many."""
        self.highest.append(float(np.float32(highest)))
        self.limits.append(float(np.float32(limit)))
        self.numbers.append(number)
        if len(self.highest) > MOST_BLOCKS:
            del self.highest[:-MOST_BLOCKS], self.limits[:-MOST_BLOCKS], self.numbers[:-MOST_BLOCKS]


@dataclass(frozen=True, slots=True)
class LiveTail:
    """The tail of what was watched: peaks above ``start``, raw units.

    peaks        their number; blocks that follow each other are one peak
    excess       sum of their excesses, each at most up to the threshold that was in force
    known        number of peaks that are not cut off there
    duration_s   seconds that were watched
    """

    start: float
    peaks: int
    excess: float
    known: int
    duration_s: float


class LiveCalibration:
    """Follows one camera's scores. ``take`` takes each judged frame once, in order of time.

    scale  the scale that the held-out footage gives
    on     False: only the allowance of the first day falls; thresholds stay what the held-out footage says
    whole  True if the held-out footage is as various as what is watched: hours, each scored by what others know. False:
           it counts as few peaks
    peaks  sense -> what earlier runs have kept; watched_s: their seconds
    """

    def __init__(
        self,
        scale: ModelScale,
        *,
        on: bool = False,
        whole: bool = False,
        peaks: Mapping[str, Peaks] | None = None,
        watched_s: float = 0.0,
    ) -> None:
        self._first = self.scale = scale
        self.on, self.whole = on, whole
        self.peaks = {name: (peaks or {}).get(name, Peaks()) for name in scale.senses}
        self.watched_s = watched_s
        self.block = 1 + max((number for each in self.peaks.values() for number in each.numbers), default=-1)
        """Number of the present block, counted from the first one of the camera."""
        self.earned = 0
        """Alarms of the kept days that people have judged real: each allows one more."""
        self._block_s = 0.0
        self._highest = dict.fromkeys(scale.senses, -math.inf)
        self._heights = {name: scale.lasting.stream(sense.tail.typical) for name, sense in scale.senses.items()}
        self._alarmed = False
        self._last: tuple[int, float] | None = None
        self._changed = False
        self._calibrate()

    def copy(self, scale: ModelScale | None = None) -> LiveCalibration:
        """Another calibration with the same state, between two frames; neither follows the other.

        scale: of the same model with another budget; None: the same
        """
        peaks = {
            name: Peaks(list(own.highest), list(own.limits), list(own.numbers)) for name, own in self.peaks.items()
        }
        first = scale or self._first
        return LiveCalibration(first, on=self.on, whole=self.whole, peaks=peaks, watched_s=self.watched_s)

    @property
    def first(self) -> ModelScale:
        """The scale that the held-out footage gives."""
        return self._first

    def judge(self, first: int, last: int, *, normal: bool) -> Judged:
        """Somebody has judged an event in the blocks ``first`` to ``last``. Returns what ``restore`` needs to undo it.

        normal  True: the scores count in full. False: it was real, so they do not count as normal at all
        """
        before: Judged = {}
        for name, peaks in self.peaks.items():
            within = [i for i, number in enumerate(peaks.numbers) if first <= number <= last]
            before[name] = [(peaks.numbers[i], peaks.highest[i], peaks.limits[i]) for i in within]
            usual = float(np.median(peaks.highest)) if within else 0.0
            for i in within:
                if not normal:
                    peaks.highest[i] = min(peaks.highest[i], usual)
                peaks.limits[i] = math.inf
        if last >= self.block:
            self._alarmed = False
            if not normal:
                self._highest = dict.fromkeys(self._highest, -math.inf)
        return before

    def restore(self, before: Judged) -> None:
        """Take a judgement back. Blocks that are no longer kept are left out."""
        for name, blocks in before.items():
            peaks = self.peaks.get(name, Peaks())
            at = {number: i for i, number in enumerate(peaks.numbers)}
            for number, highest, limit in blocks:
                if number in at:
                    peaks.highest[at[number]], peaks.limits[at[number]] = highest, limit

    def forget(self) -> None:
        """Forget all that was watched: the thresholds are those of the held-out footage again."""
        for peaks in self.peaks.values():
            peaks.highest.clear()
            peaks.limits.clear()
            peaks.numbers.clear()
        self.watched_s = 0.0
        self.calibrate(0)

    def calibrate(self, earned: int) -> None:
        """Compute the thresholds again. earned: alarms of the kept days that people have judged real."""
        self.earned = earned
        self._changed = self._calibrate() or self._changed

    def take(self, segment: int, time_s: float, smoothed: Sequence[float], *, alarmed: bool) -> bool:
        """Take a frame's smoothed scores, in the model's order. Returns True if the thresholds have changed.

        alarmed: whether the score is above the threshold, or an event is open; then the thresholds do not change
        """
        changed = self._take(segment, time_s, smoothed, alarmed=alarmed) or self._changed
        self._changed = changed and alarmed
        return changed and not alarmed

    def _take(self, segment: int, time_s: float, smoothed: Sequence[float], *, alarmed: bool) -> bool:
        step_s = 0.0
        if self._last is not None and self._last[0] == segment:
            step_s = time_s - self._last[1]
        else:
            for heights in self._heights.values():
                heights.reset()
        self._last = segment, time_s
        raw = self.scale.raw_by_sense(smoothed)
        if all(map(math.isnan, raw.values())):
            return False
        self._block_s += step_s if 0 < step_s <= _LONGEST_STEP_S else 0.0
        self._alarmed |= alarmed
        for name, score in raw.items():
            height = self._heights[name].update(time_s, score)
            if height > self._highest[name]:  # False for NaN
                self._highest[name] = height
        if self._block_s < BLOCK_S:
            return False
        if self.on:
            for name, highest in self._highest.items():
                limit = self.scale.scales[name].threshold if self._alarmed else math.inf
                if highest > -math.inf:
                    self.peaks[name].add(highest, limit, self.block)
            self.block += 1
        self.watched_s += self._block_s
        self._block_s, self._alarmed = 0.0, False
        self._highest = dict.fromkeys(self._highest, -math.inf)
        if alarmed:
            return False
        return self._calibrate()

    def _calibrate(self) -> bool:
        first = self._first
        budget = first.false_alarms_per_day + self.earned / KEPT_DAYS
        allowed = allowed_per_day(budget, first.held_out_s + self.watched_s)
        before = self.scale.scales
        live = {name: self._live(name) for name in first.senses}
        scales, promised = (
            {name: self._scale(name, live[name], per_day / len(live)) for name in live} for per_day in (allowed, budget)
        )
        self.scale = first.with_scales(scales, promised, allowed)
        return scales != before

    def _live(self, name: str) -> LiveTail | None:
        """The tail of what was watched; None if the threshold does not follow it, or not yet."""
        peaks = self.peaks[name]
        if not self.on or len(peaks.highest) < LEAST_BLOCKS:
            return None
        return live_tail(peaks, self._first.senses[name].tail.tail_start if self.whole else -math.inf)

    def _scale(self, name: str, live: LiveTail | None, per_day: float) -> ScoreScale:
        tail = self._first.senses[name].tail
        if live is None:
            return tail.scale(name, per_day)
        start, mean, rate, evidence, duration_s = combined(tail, live, whole=self.whole)
        threshold = max(predicted(start, mean, rate, evidence, per_day), tail.min_threshold)
        # A sense that says nothing for a week must not become one that alarms at a breath.
        least = tail.typical + 0.5 * (tail.tail_start - tail.typical)
        threshold = max(threshold, least, math.nextafter(tail.typical, math.inf))
        return ScoreScale(tail.typical, threshold, per_day, DAY_S / duration_s)


def live_tail(peaks: Peaks, least_start: float = -math.inf) -> LiveTail:
    """The tail of what was watched, from ``least_start`` on at the lowest. There must be at least one block."""
    highest, limits = np.array(peaks.highest), np.array(peaks.limits)
    start = max(float(np.quantile(highest, _QUANTILE)), least_start)
    tops, cut = _runs(highest, limits, start)
    excess = float(np.sum(np.maximum(tops - start, 0.0)))
    return LiveTail(start, len(tops), excess, int(np.sum(~cut)), len(highest) * BLOCK_S)


def _runs(
    highest: NDArray[np.float64], limits: NDArray[np.float64], start: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The highest score of each run of blocks above ``start``, cut off at its limit, and whether it was cut off."""
    above = np.flatnonzero(highest > start)
    if not len(above):
        return np.zeros(0), np.zeros(0, bool)
    first = np.flatnonzero(np.diff(above, prepend=-2) > 1)
    tops = np.maximum.reduceat(np.minimum(highest, limits)[above], first)
    cut = np.maximum.reduceat((highest > limits)[above].astype(int), first) > 0
    return tops, cut


def combined(tail: ScoreTail, live: LiveTail, *, whole: bool) -> tuple[float, float, float, float, float]:
    """The tail of held-out and watched footage together: start, mean excess, peaks per day, evidence, seconds.

    Held-out footage of hours counts like what is watched: of exponential excesses over ``tail_start``, those over a
    higher start are exp(-difference / mean) as many, with the same mean. Otherwise it counts as ``ASSUMED_PEAKS``.
    """
    assumed = ASSUMED_PEAKS * tail.mean_excess
    if not whole:
        evidence = float(live.known + ASSUMED_PEAKS)
        mean = (live.excess + assumed) / evidence
        return live.start, mean, live.peaks * DAY_S / live.duration_s, evidence, live.duration_s
    start = live.start
    over = 0.0
    if tail.mean_excess > 0:
        over = tail.peaks * math.exp(-(start - tail.tail_start) / tail.mean_excess)
    evidence = over + live.known + ASSUMED_PEAKS
    mean = (over * tail.mean_excess + live.excess + assumed) / evidence
    duration_s = tail.duration_s + live.duration_s
    return start, mean, (over + live.peaks) * DAY_S / duration_s, evidence, duration_s
