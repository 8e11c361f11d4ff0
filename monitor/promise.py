"""Compares the alarms that a camera has raised with the number of false alarms that was promised.

Every alarm counts until somebody judges it, so the measured rate is an upper limit of the rate of false alarms. Time is
time that was watched, seconds of the stream. No clock is used: a wrong one can change nothing.

No method proves a rate of one a day within a day. So the rate is given with its interval, and the promise counts as
broken only by a test that stays valid although it is looked at all the time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from monitor.text.durations import in_words

DAY_S = 86_400.0
WINDOW_S = 7 * DAY_S
"""The last seconds of watched time that are compared."""
_CONFIDENCE = 0.95
_LEAST_EVIDENCE = 20.0  # against the promise: it comes up by chance in at most one of 20 runs, however often one looks
_PART_S = 3600.0  # watched time is counted in parts of this length


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """The alarms of a camera beside the promise.

    alarms             number of alarms in ``watched_s``
    watched_s          seconds of stream that were watched
    promised_per_day   the budget of false alarms
    counted_alarms, counted_s  counted since the camera was added in this run, without what earlier runs counted
    """

    alarms: int
    watched_s: float
    promised_per_day: float
    counted_alarms: int = 0
    counted_s: float = 0.0

    @property
    def per_day(self) -> float | None:
        """Alarms per day; None if nothing was watched yet."""
        return self.alarms * DAY_S / self.watched_s if self.watched_s > 0 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of alarms per day (Garwood, Fiducial limits for the Poisson distribution, 1936).

        (0, infinity) if nothing was watched yet.
        """
        from scipy.special import gammaincinv  # slow to import, and a client of the monitor does without it

        if self.watched_s <= 0:
            return 0.0, math.inf
        tail, days = (1 - _CONFIDENCE) / 2, self.watched_s / DAY_S
        low = float(gammaincinv(self.alarms, tail)) if self.alarms else 0.0
        return low / days, float(gammaincinv(self.alarms + 1, 1 - tail)) / days

    @property
    def broken(self) -> bool:
        """Whether there are more alarms than the promise allows, beyond doubt.

        The evidence is the likelihood of the count, averaged over rates with an exponential distribution around the
        promise, divided by its likelihood at the promised rate. At the promised rate, this is a martingale that starts
        at 1, so it ever reaches 20 with a probability of at most 5 % (Ville's inequality).
        """
        days, rate, count = self.watched_s / DAY_S, self.promised_per_day, self.alarms
        if days <= 0 or count <= rate * days:
            return False
        scale = 1 / rate  # of the exponential distribution, days
        log_evidence = (
            math.lgamma(1 + count)
            + math.log(scale)
            - (1 + count) * math.log(scale + days)
            - count * math.log(rate)
            + rate * days
        )
        return log_evidence >= math.log(_LEAST_EVIDENCE)

    @property
    def text(self) -> str:
        """``1.3 alarms a day (0.5 to 2.7) in 72 h, promised 1``."""
        promised = f"promised {self.promised_per_day:.3g}"
        if self.per_day is None:
            return f"nothing watched yet, {promised}"
        low, high = self.interval
        watched = in_words(self.watched_s)
        return f"{self.per_day:.2g} alarms a day ({low:.2g} to {high:.2g}) in {watched}, {promised}"


class AlarmCount:
    """Counts one camera's alarms in the last seven days that were watched."""

    def __init__(self) -> None:
        self._parts: deque[tuple[float, int]] = deque()  # watched seconds and alarms
        self._watched_s, self._alarms = 0.0, 0
        self._counted_s, self._counted = 0.0, 0
        self.promised_per_day = 1.0

    def add(self, watched_s: float, alarms: int) -> None:
        """Add watched time of this run, seconds, and the alarms in it."""
        self._counted_s, self._counted = self._counted_s + watched_s, self._counted + alarms
        self.recall(watched_s, alarms)

    def recall(self, watched_s: float, alarms: int) -> None:
        """Add what an earlier run has counted."""
        last_s, last = self._parts.pop() if self._parts and self._parts[-1][0] < _PART_S else (0.0, 0)
        self._parts.append((last_s + watched_s, last + alarms))
        self._watched_s, self._alarms = self._watched_s + watched_s, self._alarms + alarms
        while len(self._parts) > 1 and self._watched_s - self._parts[0][0] >= WINDOW_S:
            gone_s, gone = self._parts.popleft()
            self._watched_s, self._alarms = self._watched_s - gone_s, self._alarms - gone

    @property
    def parts(self) -> list[tuple[float, int]]:
        """Watched seconds and alarms, in parts, oldest first: what ``recall`` takes."""
        return list(self._parts)

    @property
    def rate(self) -> AlarmRate:
        """What was counted so far, beside the promise."""
        return AlarmRate(self._alarms, self._watched_s, self.promised_per_day, self._counted, self._counted_s)
