"""Rates and quantiles of recent values, in bounded memory."""

from __future__ import annotations

from collections import deque
from itertools import pairwise


class Rate:
    """Events per second over the last ``window_s`` seconds."""

    def __init__(self, window_s: float = 5.0) -> None:
        self.window_s = window_s
        self._readings: deque[tuple[float, int]] = deque()

    def update(self, now: float, total: int) -> float:
        """Add the running total at time ``now`` (seconds, increasing). Returns the rate; 0 before two readings."""
        self._readings.append((now, total))
        while len(self._readings) > 2 and self._readings[1][0] <= now - self.window_s:
            self._readings.popleft()
        (first_s, first), (last_s, last) = self._readings[0], self._readings[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


class Quantiles:
    """Quantiles of the last ``size`` values."""

    def __init__(self, size: int = 512) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self.count = 0
        self._sorted: list[float] | None = None  # the values, sorted; None after a new value

    def add(self, value: float) -> None:
        """Add a value."""
        self._sorted = None
        self._values.append(value)
        self.count += 1

    def quantile(self, q: float) -> float | None:
        """The q-quantile (q in 0..1) of the stored values, linearly interpolated; None if there are none."""
        if not self._values:
            return None
        if self._sorted is None:
            self._sorted = sorted(self._values)
        place = q * (len(self._sorted) - 1)
        low = min(int(place), len(self._sorted) - 1)
        high = min(low + 1, len(self._sorted) - 1)
        return self._sorted[low] + (place - low) * (self._sorted[high] - self._sorted[low])


class ScoreBins:
    """The highest value in each of the last ``bins`` time bins of ``bin_s`` seconds: the data of a sparkline."""

    def __init__(self, bins: int = 60, bin_s: float = 1.0) -> None:
        self.bin_s = bin_s
        self._bins: deque[tuple[int, float]] = deque(maxlen=bins)

    def add(self, time_s: float, value: float) -> None:
        """Add the value at ``time_s`` (seconds, increasing)."""
        number = int(time_s // self.bin_s)
        if self._bins and self._bins[-1][0] == number:
            self._bins[-1] = (number, max(self._bins[-1][1], value))
        else:
            self._bins.append((number, value))

    def values(self) -> list[float | None]:
        """The values, oldest first; None for an empty bin between two others."""
        if not self._bins:
            return []
        filled: list[float | None] = []
        for (number, value), (following, _) in pairwise(self._bins):
            filled.append(value)
            filled.extend([None] * min(following - number - 1, self._bins.maxlen or 0))
        filled.append(self._bins[-1][1])
        return filled[-(self._bins.maxlen or 0) :]
