"""Estimates from progress how long work still takes. Pure: the caller gives the time."""

from __future__ import annotations

from monitor.text.durations import in_words

_TELLING = 0.2  # after this share of the work, its speed tells something ...
_LEAST = 0.09  # ... if it was measured over this share: single steps come in bursts


class TimeLeft:
    """Takes the progress of one work. If the progress falls, another work has begun.

    The speed is that of the second half of what is done: the first steps, such as reading files, are often slower or
    faster than their share of the work.
    """

    def __init__(self) -> None:
        self._reached: list[tuple[float, float]] = []

    def reached(self, now_s: float, fraction: float) -> None:
        """The work is this far, 0..1, at this time, seconds on any clock that only moves forward."""
        if self._reached and fraction < self._reached[-1][1]:
            self._reached.clear()
        if not self._reached or fraction > self._reached[-1][1]:
            self._reached.append((now_s, fraction))

    def left_s(self, now_s: float) -> float | None:
        """Seconds left; None if it is too early to say, or if the last step takes longer than all the rest should."""
        if not self._reached or self._reached[-1][1] < _TELLING:
            return None
        at_s, fraction = self._reached[-1]
        since_s, half = next(entry for entry in self._reached if entry[1] >= fraction / 2)
        if half == fraction:
            since_s, half = self._reached[0]
        if fraction - half < _LEAST or at_s <= since_s:
            return None
        left_s = (1.0 - fraction) * (at_s - since_s) / (fraction - half) - (now_s - at_s)
        return left_s if left_s >= 0 else None

    def in_words(self, now_s: float) -> str:
        """``about 2 min left``; "" if it is not known."""
        left_s = self.left_s(now_s)
        return "" if left_s is None else f"about {in_words(max(1.0, left_s))} left"
