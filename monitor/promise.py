"""Compares the alarms that a camera has raised with the number of false alarms that was promised.

Every alarm counts until somebody judges it, so the measured rate is an upper limit of the rate of false alarms. Time is
time that was watched, seconds of the stream. No clock is used: a wrong one can change nothing.

No method proves a rate of one a day within a day. So the rate is given with its interval, and the promise counts as
broken only by a test that stays valid although it is looked at all the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.text.durations import in_words
from monitor.text.wording import about, counted

LEAST_PER_DAY, MOST_PER_DAY = 1e-6, 1e6
"""Range of a budget, false alarms per day."""

DAY_S = 86_400.0
_LEAST_EVIDENCE = 20.0  # against the promise: it comes up by chance in at most one of 20 runs, however often one looks


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """The alarms of a camera beside the promise.

    alarms             number of alarms in ``watched_s``
    watched_s          seconds of stream that were watched
    promised_per_day   the budget of false alarms
    low, high          95 % interval of alarms per day; 0 and infinity if nothing was watched yet
    counted_alarms, counted_s  counted since the camera was added in this run, without what earlier runs counted
    blind_s            seconds besides ``watched_s`` in which nobody watched: no frame was judged
    counted_blind_s    of these, counted since the camera was added in this run
    supported_per_day  the lowest rate that the threshold's footage can confirm; above the promise, the threshold is
                       extrapolated. None if unknown
    """

    alarms: int
    watched_s: float
    promised_per_day: float
    low: float
    high: float
    counted_alarms: int = 0
    counted_s: float = 0.0
    blind_s: float = 0.0
    counted_blind_s: float = 0.0
    supported_per_day: float | None = None

    @property
    def watched_share(self) -> float | None:
        """Share of the time in which the camera was watched, 0..1; None if there was none yet."""
        return share_watched(self.watched_s, self.blind_s)

    @property
    def per_day(self) -> float | None:
        """Alarms per day; None if nothing was watched yet."""
        return self.alarms * DAY_S / self.watched_s if self.watched_s > 0 else None

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
        """``1.3 alarms per day (0.5 to 2.7) in 72 h, promised 1``."""
        promised = f"promised {self.promised_per_day:.3g}"
        if self.per_day is None:
            return f"nothing watched yet, {promised}"
        return f"{rate_words(self.alarms, self.watched_s, self.per_day, self.low, self.high)}, {promised}"


def extrapolation_words(supported_per_day: float | None, promised_per_day: float) -> str:
    """How far a threshold is extrapolated, as a sentence; "" if unknown. See ``AlarmRate.supported_per_day``."""
    if supported_per_day is None or supported_per_day <= 0:
        return ""
    rests_on = in_words(DAY_S / supported_per_day)
    if supported_per_day <= promised_per_day:
        return f"the threshold is not extrapolated: {rests_on} of footage can confirm {about(promised_per_day)} per day"
    return (
        f"the threshold is extrapolated by a factor of {about(supported_per_day / promised_per_day)}: it rests on "
        f"{rests_on} of footage, which can confirm no rate below {about(supported_per_day)} per day"
    )


def share_watched(watched_s: float, blind_s: float) -> float | None:
    """Share of the time that was watched, 0..1; None if there was none."""
    return watched_s / (watched_s + blind_s) if watched_s + blind_s > 0 else None


def watched_words(watched_s: float, blind_s: float) -> str:
    """``watched 99.97 % (blind for 3 min)``. It says 100 % only if nothing is missing; "" if there was no time yet."""
    share = share_watched(watched_s, blind_s)
    if share is None:
        return ""
    percent = 100 * share
    if blind_s > 0:
        percent = min(percent, 99.99)
    blind = f" (blind for {in_words(blind_s)})" if blind_s > 0 else ""
    return f"watched {percent:.4g} %{blind}"


def rate_words(alarms: int, watched_s: float, per_day: float, low: float, high: float) -> str:
    """``1.3 alarms per day (0.36 to 3.4) in 72 h``. A rate per day is told only after a day, which can show one."""
    watched = in_words(watched_s)
    if watched_s < DAY_S:
        return f"{counted(alarms, 'alarm')} in {watched}, too short to tell a rate per day"
    return f"{per_day:.2g} alarms per day ({low:.2g} to {high:.2g}) in {watched}"
