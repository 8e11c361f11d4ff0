"""The height at which a score lasts: what a threshold must not exceed for the score to raise an alarm.

An alarm needs a score that reaches the threshold and stays near it for some time. So the number of alarms per day is
not the number of peaks above the threshold: a peak of one frame raises none. Thresholds for a number of alarms per day
must be computed from the height at which scores last, or they are too high.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_EPSILON_S = 1e-6  # as in the alert rule: frame times are sums in floating point


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a score must last for an alarm, see AlertSettings.

    duration_s  the score must stay high this long, seconds, >= 0
    share       high is this share of the threshold, after the threshold was reached: 0..1
    """

    duration_s: float = 0.5
    share: float = 0.8

    def heights(self, time_s: NDArray[np.float64], score: NDArray[np.float64], typical: float) -> NDArray[np.float64]:
        """The height at each frame of one stream: (n,). At this threshold, an alarm would just be raised there.

        time_s   (n,) seconds, not decreasing
        score    (n,) smoothed, raw units; NaN for a frame without a score, which is left out
        typical  the score that counts as 0 in units of the threshold

        NaN for a frame without a score, and for one with too short a time before it.
        """
        found = np.full(len(score), np.nan)
        known = np.flatnonzero(~np.isnan(score))
        if not len(known):
            return found
        at, above = time_s[known], score[known] - typical
        last = np.arange(len(at))
        # The search finds the last one of frames with the same time.
        first = np.minimum(np.searchsorted(at, at - self.duration_s + _EPSILON_S, side="right") - 1, last)
        begins, ends = first[first >= 0], last[first >= 0]
        # Where frames are far apart, several beginnings have lasted only at the same later frame.
        lasted = np.searchsorted(at, at + self.duration_s - _EPSILON_S)
        more = np.flatnonzero((lasted < len(at)) & (lasted > last))
        more = more[first[lasted[more]] > more]
        begins, ends = np.concatenate([begins, more]), np.concatenate([ends, lasted[more]])
        highest = np.full(len(at), np.nan)
        for width in np.unique(ends - begins):
            rows = np.flatnonzero(ends - begins == width)
            height = above[begins[rows]]
            if width:
                since = above[begins[rows, None] + np.arange(1, width + 1)]
                height = np.minimum(height, since.min(axis=1) / self.share)
            np.fmax.at(highest, ends[rows], height)
        found[known] = typical + highest
        return found

    def stream(self, typical: float) -> LastingHeight:
        """The heights of one stream, frame by frame."""
        return LastingHeight(self, typical)


class LastingHeight:
    """Gives the height at each frame of a stream, as ``Lasting.heights``."""

    def __init__(self, lasting: Lasting, typical: float) -> None:
        self._lasting, self._typical = lasting, typical
        self._above: deque[tuple[float, float]] = deque()
        self._lasted_s = -math.inf  # beginnings up to here have lasted before

    def update(self, time_s: float, score: float) -> float:
        """Take the smoothed score at ``time_s``, raw units. Returns the height, or NaN."""
        if math.isnan(score):
            return math.nan
        above = self._above
        above.append((time_s, score - self._typical))
        begin_s = time_s - self._lasting.duration_s + _EPSILON_S
        if above[0][0] > begin_s:
            return math.nan
        # Where frames are far apart, several beginnings have lasted only now.
        height = self._since_first() if above[0][0] > self._lasted_s else -math.inf
        while len(above) > 1 and above[1][0] <= begin_s:
            above.popleft()
            height = max(height, self._since_first())
        if height == -math.inf:
            height = self._since_first()
        self._lasted_s = begin_s
        return self._typical + height

    def _since_first(self) -> float:
        height = self._above[0][1]
        if len(self._above) > 1:
            height = min(height, min(value for _, value in list(self._above)[1:]) / self._lasting.share)
        return height

    def reset(self) -> None:
        """The stream begins anew."""
        self._above.clear()
        self._lasted_s = -math.inf
