"""The interval of a rate of alarms, without a library for numbers: the page must stay small."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

_TAIL = 0.025  # on each side, of 95 %
_EXACT_UP_TO = 200
_NORMAL = 1.959963985  # quantile of the normal distribution for the tail
_STEPS = 60


def rate_interval(alarms: int, days: float) -> tuple[float, float]:
    """The 95 % interval of alarms per day, if ``alarms`` came in ``days`` > 0.

    It is Garwood's (Fiducial limits for the Poisson distribution, 1936), as in the monitor. For more than 200 alarms,
    the quantiles of chi-squared are those of Wilson and Hilferty (1931), which are right to four digits there.
    """
    low, high = _limits(alarms)
    return low / days, high / days


@lru_cache(1000)
def _limits(count: int) -> tuple[float, float]:
    if count > _EXACT_UP_TO:
        more = count + 1
        return (
            count * (1 - 1 / (9 * count) - _NORMAL / (3 * math.sqrt(count))) ** 3,
            more * (1 - 1 / (9 * more) + _NORMAL / (3 * math.sqrt(more))) ** 3,
        )
    low = _solve(lambda mean: 1 - _at_most(count - 1, mean), rising=True, count=count) if count else 0.0
    return low, _solve(lambda mean: _at_most(count, mean), rising=False, count=count)


def _at_most(count: int, mean: float) -> float:
    """The probability that a Poisson variable is at most ``count``."""
    if mean <= 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _solve(tail: Callable[[float], float], *, rising: bool, count: int) -> float:
    """The mean at which the tail has its probability."""
    low, high = 0.0, count + 10 * math.sqrt(count + 1) + 10
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (tail(middle) < _TAIL) == rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2
