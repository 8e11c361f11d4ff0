"""Counts the alarms of one camera, and gives their rate with its interval. See ``monitor.promise``."""

from __future__ import annotations

import math
from collections import deque

from monitor.promise import DAY_S, AlarmRate

WINDOW_S = 7 * DAY_S
"""The last seconds of watched time that are compared."""
_CONFIDENCE = 0.95
_PART_S = 3600.0  # watched time is counted in parts of this length


def rate_of(
    alarms: int,
    watched_s: float,
    promised_per_day: float,
    counted_alarms: int = 0,
    counted_s: float = 0.0,
    blind_s: float = 0.0,
    counted_blind_s: float = 0.0,
) -> AlarmRate:
    """The rate of this many alarms with its 95 % interval.

    The interval is Garwood's (Fiducial limits for the Poisson distribution, 1936).
    watched_s: seconds of stream; for the others see AlarmRate
    """
    low, high = 0.0, math.inf
    if watched_s > 0:
        from scipy.special import gammaincinv  # a third of the time that a command takes to start

        tail, days = (1 - _CONFIDENCE) / 2, watched_s / DAY_S
        low = float(gammaincinv(alarms, tail)) / days if alarms else 0.0
        high = float(gammaincinv(alarms + 1, 1 - tail)) / days
    return AlarmRate(
        alarms, watched_s, promised_per_day, low, high, counted_alarms, counted_s, blind_s, counted_blind_s
    )


class AlarmCount:
    """Counts one camera's alarms in the last seven days that were watched."""

    def __init__(self) -> None:
        self._parts: deque[tuple[float, int, float]] = deque()  # watched seconds, alarms, blind seconds
        self._watched_s, self._alarms, self._blind_s = 0.0, 0, 0.0
        self._counted_s, self._counted, self._counted_blind_s = 0.0, 0, 0.0
        self.promised_per_day = 1.0

    def add(self, watched_s: float, alarms: int, blind_s: float = 0.0) -> None:
        """Add watched time of this run, seconds, the alarms in it, and the time in which nobody watched, seconds."""
        self._counted_s, self._counted = self._counted_s + watched_s, self._counted + alarms
        self._counted_blind_s += blind_s
        self.recall(watched_s, alarms, blind_s)

    def recall(self, watched_s: float, alarms: int, blind_s: float = 0.0) -> None:
        """Add what an earlier run has counted."""
        old = self._parts.pop() if self._parts and self._parts[-1][0] < _PART_S else (0.0, 0, 0.0)
        self._parts.append((old[0] + watched_s, old[1] + alarms, old[2] + blind_s))
        self._watched_s, self._alarms = self._watched_s + watched_s, self._alarms + alarms
        self._blind_s += blind_s
        while len(self._parts) > 1 and self._watched_s - self._parts[0][0] >= WINDOW_S:
            gone_s, gone, gone_blind_s = self._parts.popleft()
            self._watched_s, self._alarms = self._watched_s - gone_s, self._alarms - gone
            self._blind_s = max(0.0, self._blind_s - gone_blind_s)

    @property
    def parts(self) -> list[tuple[float, int, float]]:
        """Watched seconds, alarms and blind seconds, in parts, oldest first: what ``recall`` takes."""
        return list(self._parts)

    @property
    def rate(self) -> AlarmRate:
        """What was counted so far, beside the promise."""
        counted = self._counted, self._counted_s, self._blind_s, self._counted_blind_s
        return rate_of(self._alarms, self._watched_s, self.promised_per_day, *counted)
