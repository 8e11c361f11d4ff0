"""Converts raw scores to a scale that users understand: 0 = typical normal, 1 = the threshold.

A model folder stores the raw scores of held-out normal footage. The threshold is computed from them when the model is
loaded, for the user's budget of false alarms per day. So the scores are data, and the threshold is a setting.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.errors import ModelError
from monitor.scores.held_out import HeldOut
from monitor.scores.lasting import Lasting
from monitor.scores.smoothing import CausalMedian
from monitor.types import FloatArray

DAY_S = 86_400.0
"""Range of a false-alarm budget. Below it, thresholds overflow; above it, every second would raise an alarm."""
TAIL_QUANTILE = 0.95
"""The tail of rarities starts at this quantile, see Surprise."""
PEAKS_QUANTILE = 0.99
"""The tail that thresholds come from starts at this quantile (peaks over threshold)."""
DECLUSTER_S = 30.0
"""Exceedances closer together than this, seconds, belong to one peak: an alarm is an event, not a frame."""
_LEAST_S = 1e-3
_LEAST_LASTING = 20
"""Fewer peaks do not show how long scores last: then every peak counts as if it lasted, which is cautious."""
_IDLE_SHARE = 0.05
"""So many frames with the lowest score are no coincidence."""
ASSUMED_PEAKS = 4
"""The mean of one or two peaks is unreliable. The estimate from all frames counts as this many additional peaks."""


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """The scale of one detector: ``(score - typical) / (threshold - typical)``.

    typical                   the typical score, raw units, see ScoreTail
    threshold                 raw units, > typical
    false_alarms_per_day      number of false alarms per day that this threshold gives on normal footage
    supported_per_day         the lowest rate that this much footage supports without extrapolation: one per its length
    """

    typical: float
    threshold: float
    false_alarms_per_day: float
    supported_per_day: float

    def units(self, raw: float) -> float:
        """A raw score in units of the threshold: 0 = typical normal, 1 = the threshold. NaN stays NaN."""
        return (raw - self.typical) / (self.threshold - self.typical)


def smooth_clips(
    values: NDArray[np.float64], held_out: HeldOut, smoother: Callable[[], CausalMedian]
) -> NDArray[np.float64]:
    """The values, (N,), smoothed in the same way as live scores; each clip is a separate stream."""
    smoothed = np.empty_like(values)
    for number in np.unique(held_out.clip):
        own = held_out.clip == number
        smoothed[own] = smoother().all(held_out.time_s[own], values[own])
    return smoothed


@dataclass(frozen=True, slots=True)
class Surprise:
    """How rare a score is among smoothed normal ones: ``-log10`` of the share of normal frames that reach it.

    quantiles    0, 5, 10, ... 95 % quantiles of the normal scores, raw units
    mean_excess  mean excess over the last quantile, of the frames above it, raw units; 0 if no frame is above it. It is
                 the upper bound at 95 % confidence, so that short footage does not make a score look too rare
    trust        factor that the rarity is multiplied by, see ``Detector.trust``

    This makes detectors with different raw units additive: each unit is a factor of 10 in rarity. Above the 95 %
    quantile the tail is exponential, as in ScoreTail. So scores that never occurred have a value, too.
    """

    quantiles: tuple[float, ...]
    mean_excess: float
    trust: float = 1.0

    def of(self, score: float) -> float:
        """0 for the lowest scores, ``trust`` times 1.3 at the 95 % quantile, unlimited above it. NaN stays NaN."""
        return self.trust * self._rarity(score)

    def _rarity(self, score: float) -> float:
        if math.isnan(score):
            return math.nan
        q = self.quantiles
        at = bisect_right(q, score)
        if at == len(q):
            # The excess needs a lower limit: if all scores are equal, any higher score would be infinitely rare.
            excess = max(self.mean_excess, 1e-3 * (q[-1] - q[0]), 1e-9)
            return -math.log10(1 - TAIL_QUANTILE) + (score - q[-1]) / (excess * math.log(10))
        if at == 0:
            return 0.0
        below = (at - 1 + (score - q[at - 1]) / (q[at] - q[at - 1])) / (len(q) - 1) * TAIL_QUANTILE
        return -math.log10(1 - below)

    def of_map(self, values: FloatArray) -> FloatArray:
        """The same for each value of an anomaly map (h, w); values below the lowest normal score become negative."""
        q = np.array(self.quantiles)
        steps = [-math.log10(1 - TAIL_QUANTILE * k / (len(q) - 1)) for k in range(len(q))]
        spread = max(float(q[-1] - q[0]), 1e-9)
        excess = max(self.mean_excess, 1e-3 * spread)
        found = np.interp(values, q, steps)
        found = np.where(values > q[-1], steps[-1] + (values - q[-1]) / (excess * math.log(10)), found)
        found = self.trust * np.where(values < q[0], (values - q[0]) / spread, found)
        return found.astype(np.float32)


def fit_surprise(smoothed: NDArray[np.float64], trust: float = 1.0) -> Surprise:
    """Fit a Surprise to ``smoothed`` normal scores, (N,); NaN means unknown; at least one must be known."""
    from scipy.special import gammaincinv  # a quarter of a second, which only models of several detectors pay

    known = smoothed[~np.isnan(smoothed)]
    quantiles = np.quantile(known, np.linspace(0, TAIL_QUANTILE, 20))
    above = known[known > quantiles[-1]] - quantiles[-1]
    # For n exponential excesses with mean b, 2 * sum / b has a chi-squared distribution with 2 n degrees of freedom.
    bound = 2 * above.sum() / (2 * gammaincinv(above.size, 0.05)) if above.size else 0.0
    return Surprise(tuple(quantiles.tolist()), float(bound), trust)


@dataclass(frozen=True, slots=True)
class ScoreTail:
    """A summary of a detector's smoothed normal scores. The threshold for any budget is computed from it.

    Its tail is that of the heights at which scores last, because only these raise alarms, see ``lasting``.

    typical        see ``typical_score``, raw units; or the score up to which a detector finds nothing unusual
                   (``Detector.usual``)
    tail_start     where the fitted tail starts, raw units
    mean_excess    mean excess of the tail's peaks over its start, raw units; with few peaks it also uses the estimate
                   from all frames
    peaks          number of peaks
    duration_s     duration of the footage, seconds
    min_threshold  lower limit of the threshold, raw units, independent of the footage

    Raises ValueError for values that no footage gives.
    """

    typical: float
    tail_start: float
    mean_excess: float
    peaks: int
    duration_s: float
    min_threshold: float = -math.inf

    def __post_init__(self) -> None:
        numbers = (self.typical, self.tail_start, self.mean_excess, self.duration_s)
        if not all(map(math.isfinite, numbers)) or self.duration_s < _LEAST_S or min(self.mean_excess, self.peaks) < 0:
            raise ValueError("the summary of held-out scores is damaged")

    def scale(self, detector: str, false_alarms_per_day: float) -> ScoreScale:
        """The scale for a budget of false alarms per day, see ``predicted``.

        Raises ModelError if the scores of ``detector`` were all equal.
        """
        evidence = self.peaks + ASSUMED_PEAKS
        threshold = self.tail_start
        if self.peaks:
            per_day = self.peaks * DAY_S / self.duration_s
            threshold = predicted(self.tail_start, self.mean_excess, per_day, evidence, false_alarms_per_day)
        threshold = max(threshold, self.min_threshold)
        if not threshold > self.typical:
            raise ModelError(
                f"the held-out scores of '{detector}' are all equal, so no threshold can be set: "
                "train the model on footage that contains movement"
            )
        return ScoreScale(self.typical, threshold, false_alarms_per_day, DAY_S / self.duration_s)


def typical_score(known: NDArray[np.float64]) -> float:
    """The typical one of normal scores, (n,), n >= 1, without NaN: their median.

    If many frames share the lowest score, nothing happens in them that the detector could judge, such as movement in an
    empty room. Then it is the median of the others: otherwise whoever walks through that room would be far above
    typical, as nobody is typical. It is at most the score where the tail starts.
    """
    active = known[known > known.min()]
    if not active.size or active.size > (1 - _IDLE_SHARE) * known.size:
        return float(np.median(known))
    return min(float(np.median(active)), float(np.quantile(known, PEAKS_QUANTILE)))


def predicted(start: float, mean_excess: float, peaks_per_day: float, evidence: float, wanted_per_day: float) -> float:
    """The score that is exceeded ``wanted_per_day`` times per day, raw units.

    start          where the tail starts
    mean_excess    mean excess of the peaks over it
    peaks_per_day  their rate
    evidence       the number of peaks that the mean comes from, > 0

    Method: peaks over threshold, with exponential excesses (Coles, An Introduction to Statistical Modeling of Extreme
    Values, 2001, section 4.3, shape 0). The mean of few peaks is uncertain; averaged over what it may be, the excess of
    the next peak has a Pareto distribution: it is above x with the probability (1 + x / (n b))^-n for n peaks with the
    mean b. With many peaks, this is exponential.
    """
    # A budget above the rate of peaks would need a threshold below the tail; the lowest is the tail's start.
    if peaks_per_day <= wanted_per_day:
        return start
    return start + mean_excess * evidence * math.expm1(math.log(peaks_per_day / wanted_per_day) / evidence)


def fit_tail(
    held_out: HeldOut,
    detector: str,
    smoother: Callable[[], CausalMedian],
    min_threshold: float = -math.inf,
    lasting: Lasting | None = None,
    usual: float = -math.inf,
) -> ScoreTail:
    """The tail of a detector's held-out scores, which are smoothed in the same way as live scores.

    min_threshold: see ScoreTail; for the others see ``tail_of``. Raises ModelError if there are too few scores.
    """
    smoothed = smooth_clips(held_out.scores[detector], held_out, smoother)
    return tail_of(smoothed, held_out, detector, min_threshold, lasting, usual)


def tail_of(
    smoothed: NDArray[np.float64],
    held_out: HeldOut,
    detector: str,
    min_threshold: float = -math.inf,
    lasting: Lasting | None = None,
    usual: float = -math.inf,
) -> ScoreTail:
    """The tail of the smoothed scores, (N,), of the held-out frames; NaN means that a frame has no score.

    lasting  how long a score must last for an alarm; None for the default
    usual    the typical score is at least this, raw units, see ``Detector.usual``

    Raises ModelError if there are too few scores.
    """
    known = ~np.isnan(smoothed)
    duration_s = HeldOut(held_out.time_s[known], held_out.clip[known], {}).duration_s()
    if known.sum() < 10 or duration_s < _LEAST_S:
        raise ModelError(
            f"the model holds too few held-out scores of '{detector}' to set a threshold: train it on more footage"
        )
    median, typical = float(np.median(smoothed[known])), max(typical_score(smoothed[known]), usual)
    heights = _lasting_heights(smoothed, held_out, typical, lasting or Lasting())
    start, peaks = _peaks(heights, held_out)
    if peaks.size < _LEAST_LASTING:
        start, peaks = _peaks(smoothed, held_out)
    if not start > typical:  # so little happens that no tail is above it
        typical = max(median, usual)
    excess = 0.0
    if peaks.size:
        above = smoothed[known & (smoothed > start)]
        # The mean excess if all scores above the median were exponential.
        whole = (start - max(median, usual)) / math.log(0.5 / (1 - PEAKS_QUANTILE))
        assumed = max(float(np.mean(above - start)), whole)
        excess = (float(np.sum(peaks - start)) + ASSUMED_PEAKS * assumed) / (peaks.size + ASSUMED_PEAKS)
    return ScoreTail(typical, start, excess, peaks.size, duration_s, min_threshold)


def fit_scale(
    held_out: HeldOut,
    detector: str,
    false_alarms_per_day: float,
    smoother: Callable[[], CausalMedian],
    min_threshold: float = -math.inf,
    lasting: Lasting | None = None,
) -> ScoreScale:
    """Compute a detector's scale for a budget of false alarms per day (see ScoreTail.scale).

    min_threshold  lower limit of the threshold, raw units, independent of the footage
    lasting        how long a score must last for an alarm; None for the default

    Raises ModelError if there are too few held-out scores, or if they are all equal.
    """
    return fit_tail(held_out, detector, smoother, min_threshold, lasting).scale(detector, false_alarms_per_day)


def _peaks(scores: NDArray[np.float64], held_out: HeldOut) -> tuple[float, NDArray[np.float64]]:
    """Where the tail of scores or heights starts, and its peaks; without any if nothing is known."""
    known = scores[~np.isnan(scores)]
    if not known.size:
        return math.inf, known
    start = float(np.quantile(known, PEAKS_QUANTILE))
    return start, _declustered_peaks(scores, held_out, start)


def _lasting_heights(
    smoothed: NDArray[np.float64], held_out: HeldOut, typical: float, lasting: Lasting
) -> NDArray[np.float64]:
    heights = np.empty_like(smoothed)
    for number in np.unique(held_out.clip):
        own = held_out.clip == number
        heights[own] = lasting.heights(held_out.time_s[own], smoothed[own], typical)
    return heights


def _declustered_peaks(smoothed: NDArray[np.float64], held_out: HeldOut, start: float) -> NDArray[np.float64]:
    """The highest score of each cluster of scores above ``start``, for each clip separately."""
    peaks: list[float] = []
    for number in np.unique(held_out.clip):
        last_s = -math.inf
        for i in np.flatnonzero((held_out.clip == number) & (smoothed > start)):
            if held_out.time_s[i] - last_s > DECLUSTER_S:
                peaks.append(smoothed[i])
            else:
                peaks[-1] = max(peaks[-1], smoothed[i])
            last_s = float(held_out.time_s[i])
    return np.array(peaks)
