"""Causal rolling median of a score. The window is in seconds.

As in the published method, the window is short at the start of a stream and grows later. The published median is
``min(9, max(5, n // 15))`` frames wide for a video of n frames. Here n is replaced by the age of the stream, and frames
by seconds. So dropped frames do not stretch the window, and the median uses no future values.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from monitor.settings import Settings

# Frame times such as 0.36 are sums of 1/25 s in floating point. Without this tolerance, a frame exactly one window old
# would sometimes count and sometimes not.
_EPSILON_S = 1e-6


class CausalMedian:
    """Median of the values of the last ``window_s(age)`` seconds, including the present value.

    min_window_s  window at the start of a stream, seconds, > 0
    max_window_s  longest window, seconds, >= min_window_s
    growth        the window is the stream's age divided by this, limited to the two values above; > 0
    """

    def __init__(self, min_window_s: float = 0.2, max_window_s: float = 0.5, growth: float = 15.0) -> None:
        if not 0 < min_window_s <= max_window_s:
            raise ValueError(f"windows must satisfy 0 < min <= max, got {min_window_s} and {max_window_s}")
        if growth <= 0:
            raise ValueError(f"growth must be above 0, got {growth}")
        self.min_window_s = min_window_s
        self.max_window_s = max_window_s
        self.growth = growth
        self._started_s: float | None = None
        self._values: deque[tuple[float, float]] = deque()

    def window_s(self, age_s: float) -> float:
        """The window, seconds, for a stream that is ``age_s`` seconds old."""
        return min(self.max_window_s, max(self.min_window_s, age_s / self.growth))

    def update(self, time_s: float, value: float) -> float:
        """Add the value at ``time_s`` and return the median. A NaN is returned unchanged and not stored."""
        if self._started_s is None:
            self._started_s = time_s
        if math.isnan(value):
            return value
        self._values.append((time_s, value))
        oldest = time_s - self.window_s(time_s - self._started_s) + _EPSILON_S
        while self._values[0][0] <= oldest and len(self._values) > 1:
            self._values.popleft()
        return median(value for _, value in self._values)

    def all(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The medians of a whole stream from its start, (n,): the values of ``update``, a hundred times faster.

        times: seconds, increasing. Nothing is stored.
        """
        smoothed = values.copy()
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            return smoothed
        at, value = times[known], values[known]
        windows = np.clip((at - times[0]) / self.growth, self.min_window_s, self.max_window_s)
        last = np.arange(len(at))
        first = np.minimum(np.searchsorted(at, at - windows + _EPSILON_S, side="right"), last)
        first = np.maximum.accumulate(first)  # what has left the window never comes back, also while the window grows
        for width in np.unique(last - first + 1):
            rows = np.flatnonzero(last - first + 1 == width)
            smoothed[known[rows]] = np.median(value[first[rows, None] + np.arange(width)], axis=1)
        return smoothed

    def reset(self) -> None:
        """Forget all values: the next value starts a new stream."""
        self._started_s = None
        self._values.clear()


_LONGEST_WINDOW_S, _MOST_GROWTH = 3600.0, 1e6


class SmoothingSettings(Settings):
    """Settings of the rolling median's window, seconds (see CausalMedian)."""

    min_window_s: float = 0.2
    max_window_s: float = 0.5
    growth: float = 15.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, most in (("max_window_s", _LONGEST_WINDOW_S), ("growth", _MOST_GROWTH)):
            if not getattr(self, name) <= most:  # also refuses NaN
                raise ValueError(f"{name} must be at most {most:g}, got {getattr(self, name)}")
        self.smoother()
        return self

    def smoother(self) -> CausalMedian:
        """A new median. Raises ValueError if the window settings are out of range."""
        return CausalMedian(self.min_window_s, self.max_window_s, self.growth)
