"""The alarms that a camera has raised beside those that were promised."""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from monitor.judging.alarm_rate import WINDOW_S, AlarmCount, rate_of
from monitor.promise import DAY_S, extrapolation_words, watched_words


def test_a_rate_is_given_with_its_exact_interval() -> None:
    rate = rate_of(4, 3 * DAY_S, 1.0)
    assert rate.per_day == pytest.approx(4 / 3)
    assert (rate.low, rate.high) == pytest.approx((chi2.ppf(0.025, 8) / 6, chi2.ppf(0.975, 10) / 6))
    assert rate.text == "1.3 alarms per day (0.36 to 3.4) in 72 h, promised 1"
    assert rate_of(0, DAY_S, 1.0).high == pytest.approx(3.689, abs=1e-3)
    assert rate_of(1, 600.0, 1.0).text == "1 alarm in 10 min, too short to tell a rate per day, promised 1"
    nothing = rate_of(0, 0.0, 1.0)
    assert (nothing.per_day, nothing.low, nothing.high, nothing.broken) == (None, 0.0, math.inf, False)
    assert nothing.text == "nothing watched yet, promised 1"


@pytest.mark.parametrize(
    ("alarms", "days", "broken"), [(61, 1.0, True), (4, 1.0, False), (8, 1.0, True), (4, 0.01, True), (3, 0.01, False)]
)
def test_a_promise_is_broken_only_beyond_doubt(alarms: int, days: float, broken: bool) -> None:
    assert rate_of(alarms, days * DAY_S, 1.0).broken is broken


@pytest.mark.parametrize("per_day", [1.0, 10.0])
def test_a_promise_that_is_kept_is_rarely_called_broken_however_often_one_looks(per_day: float) -> None:
    rng = np.random.default_rng(0)
    runs = 300
    called = 0
    for _ in range(runs):
        times = np.cumsum(rng.exponential(1 / per_day, round(60 * per_day)))  # days
        called += any(rate_of(k + 1, float(t) * DAY_S, per_day).broken for k, t in enumerate(times))
    assert called / runs <= 0.05


def test_only_the_last_seven_days_watched_count() -> None:
    count = AlarmCount()
    count.promised_per_day = 2.0
    count.recall(DAY_S, 40)
    for _ in range(7 * 24):
        count.add(3600.0, 0)
    rate = count.rate
    assert rate.alarms == 0
    assert WINDOW_S <= rate.watched_s < WINDOW_S + DAY_S
    assert (rate.counted_alarms, rate.counted_s, rate.promised_per_day) == (0, WINDOW_S, 2.0)
    again = AlarmCount()
    for part in count.parts:
        again.recall(*part)
    assert again.rate.watched_s == rate.watched_s
    assert again.rate.counted_s == 0.0, "this run has counted nothing yet"


def test_blind_time_lasts_as_long_as_the_watched_time_around_it() -> None:
    count = AlarmCount()
    assert count.rate.watched_share is None
    count.recall(DAY_S, 0, 3600.0)
    count.add(DAY_S, 1, 60.0)
    rate = count.rate
    assert (rate.blind_s, rate.counted_blind_s) == (3660.0, 60.0)
    assert rate.watched_share == pytest.approx(2 * DAY_S / (2 * DAY_S + 3660.0))
    again = AlarmCount()
    for part in count.parts:
        again.recall(*part)
    assert (again.rate.blind_s, again.rate.counted_blind_s) == (3660.0, 0.0)
    for _ in range(7 * 24):
        count.add(3600.0, 0)
    assert count.rate.blind_s == pytest.approx(0.0)


def test_nothing_but_all_is_called_a_hundred_per_cent() -> None:
    assert watched_words(0.0, 0.0) == ""
    assert watched_words(DAY_S, 0.0) == "watched 100 %"
    assert watched_words(7 * DAY_S, 0.5).startswith("watched 99.99 % (blind for ")
    assert watched_words(9997.0, 3.0) == "watched 99.97 % (blind for 3 s)"
    assert watched_words(0.0, 10.0) == "watched 0 % (blind for 10 s)"


@pytest.mark.parametrize(
    ("supported", "promised", "says"),
    [
        (None, 1.0, ""),
        (0.5, 1.0, "the threshold is not extrapolated: 48 h of footage can confirm 1 per day"),
        (144.0, 1.0, "the threshold is extrapolated by a factor of 140: it rests on 10 min of footage, which can "),
    ],
)
def test_how_far_a_threshold_is_extrapolated_is_a_sentence(supported: float | None, promised: float, says: str) -> None:
    said = extrapolation_words(supported, promised)
    assert said.startswith(says)
    assert bool(said) == bool(says)
