import math

import numpy as np
import pytest

from monitor.errors import ModelError
from monitor.judging.alerting import AlertRule, AlertSettings
from monitor.scores.calibration import fit_scale, fit_tail, typical_score
from monitor.scores.held_out import HeldOut
from monitor.scores.lasting import Lasting
from monitor.scores.smoothing import CausalMedian, SmoothingSettings
from monitor.states import Phase
from monitor.testing.fakes import held_out

AT_ONCE = Lasting(0.0)
"""A score raises an alarm without lasting: independent scores never last."""


def raw(window_s: float = 0.01) -> CausalMedian:
    return CausalMedian(window_s, window_s)


def exponential_day(days: float, seed: int = 1) -> HeldOut:
    """Independent exponential scores every 60 s. The fit assumes this tail, so the result is known."""
    n = int(days * 86_400 / 60)
    scores = np.random.default_rng(seed).exponential(1.0, n)
    return HeldOut(60.0 * np.arange(n, dtype=np.float64), np.zeros(n, np.int32), {"d": scores})


@pytest.mark.parametrize("budget", [1.0, 5.0, 24.0])
def test_the_threshold_is_passed_as_often_as_the_budget_allows(budget: float) -> None:
    scale = fit_scale(exponential_day(4), "d", budget, raw, lasting=AT_ONCE)
    fresh = exponential_day(200, seed=2).scores["d"]
    alarms_a_day = (fresh > scale.threshold).sum() / 200
    assert budget / 2 < alarms_a_day < budget * 2


@pytest.mark.parametrize(("hours", "most"), [(2, 2.0), (6, 1.3), (24, 1.1)])
def test_on_average_over_what_short_footage_may_show_the_threshold_keeps_its_promise(hours: int, most: float) -> None:
    """Scores that are exponential pass a threshold z once in exp(z) minutes."""
    seeds = range(400)
    thresholds = np.array(
        [fit_scale(exponential_day(hours / 24, seed), "d", 1.0, raw, lasting=AT_ONCE).threshold for seed in seeds]
    )
    assert 0.7 < np.mean(1440 * np.exp(-thresholds)) < most
    assert 0.95 < np.median(thresholds) / math.log(1440) < 1.1


def test_units_put_typical_at_0_and_the_threshold_at_1() -> None:
    scale = fit_scale(held_out(), "brightness", 1.0, raw)
    assert scale.units(scale.typical) == 0.0
    assert scale.units(scale.threshold) == 1.0
    assert math.isnan(scale.units(math.nan))
    assert scale.typical == pytest.approx(0.1, abs=0.01)


def test_a_smaller_budget_gives_a_higher_threshold() -> None:
    thresholds = [fit_scale(held_out(), "brightness", budget, raw).threshold for budget in (100, 10, 1, 0.1)]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == 4


def test_one_outlier_does_not_become_the_threshold_of_frames_that_follow_it() -> None:
    normal = held_out()
    normal.scores["brightness"][300] = 100.0
    scale = fit_scale(normal, "brightness", 1.0, lambda: CausalMedian(0.5, 0.5))
    assert scale.threshold < 1.0


def test_a_burst_of_exceedances_counts_as_one_peak() -> None:
    normal = held_out()
    burst = held_out()
    burst.scores["brightness"][100:120] = 0.2
    assert fit_scale(burst, "brightness", 1.0, raw).threshold < 10 * fit_scale(normal, "brightness", 1.0, raw).threshold


def lasting_peaks(days: float, seed: int) -> HeldOut:
    """An exponential peak once per minute, ten frames per second: each lasts one frame, or three seconds."""
    rng = np.random.default_rng(seed)
    n = int(days * 864_000)
    scores = rng.uniform(0.0, 0.1, n)
    for start in range(0, n - 30, 600):
        length = 30 if rng.random() < 0.5 else 1
        scores[start : start + length] = rng.exponential(1.0)
    return HeldOut(np.arange(n) / 10, np.zeros(n, np.int32), {"d": scores})


@pytest.mark.parametrize("budget", [4.0, 24.0])
def test_the_threshold_allows_as_many_alarms_as_the_budget_and_peaks_of_one_frame_raise_none(budget: float) -> None:
    scale = fit_scale(lasting_peaks(1.0, 1), "d", budget, raw)
    fresh = lasting_peaks(2.0, 2)
    rule, alarms = AlertRule(AlertSettings()), 0
    for time_s, score in zip(fresh.time_s.tolist(), fresh.scores["d"].tolist(), strict=True):
        event = rule.update(time_s, scale.units(score))
        alarms += event is not None and event.phase is Phase.START
    assert budget / 2 < alarms / 2 < budget * 2
    every_peak = fit_scale(lasting_peaks(1.0, 1), "d", budget, raw, lasting=AT_ONCE)
    assert scale.threshold < 0.95 * every_peak.threshold


def test_how_low_a_rate_the_footage_shows_is_one_in_its_length() -> None:
    assert fit_scale(held_out(frames=601), "brightness", 1.0, raw).supported_per_day == pytest.approx(86_400 / 60)


def test_a_detector_can_set_a_floor() -> None:
    assert fit_scale(held_out(), "brightness", 1.0, raw, min_threshold=5.0).threshold == 5.0


def test_scores_that_say_nothing_are_refused() -> None:
    flat = HeldOut(np.arange(100) / 10, np.zeros(100, np.int32), {"d": np.ones(100)})
    with pytest.raises(ModelError, match="all equal"):
        fit_scale(flat, "d", 1.0, raw)
    blind = HeldOut(np.arange(100) / 10, np.zeros(100, np.int32), {"d": np.full(100, np.nan)})
    with pytest.raises(ModelError, match="too few"):
        fit_scale(blind, "d", 1.0, raw)


def test_where_mostly_nothing_moves_what_is_typical_is_typical_movement() -> None:
    rng = np.random.default_rng(0)
    moving = rng.uniform(0.4, 0.8, 3000)
    empty = np.zeros(7000)
    assert typical_score(np.concatenate([empty, moving])) == pytest.approx(np.median(moving))
    assert typical_score(moving) == np.median(moving)
    assert typical_score(np.concatenate([[0.0], moving])) == pytest.approx(np.median(moving), abs=1e-3), "chance"
    assert typical_score(np.zeros(10)) == 0.0
    rare = typical_score(np.concatenate([np.zeros(100_000), moving[:10]]))
    assert rare == 0.0, "not above where the tail starts"


def test_movement_so_rare_that_no_tail_is_above_it_still_gives_a_threshold() -> None:
    """A constant but rare score: the tail starts at it."""
    score = np.zeros(36_000)
    score[1000:3000] = 0.5
    score[20_000:20_020] = 2.0
    held_out = HeldOut(np.arange(36_000) / 10, np.zeros(36_000, np.int32), {"motion": score})
    tail = fit_tail(held_out, "motion", SmoothingSettings().smoother)
    assert tail.scale("motion", 1.0).threshold > tail.typical
