import math
from dataclasses import replace

import numpy as np
import pytest

from monitor.errors import ModelError
from monitor.judging.fusion import ModelScale, fit_senses
from monitor.model.model_store import Model
from monitor.scores.calibration import fit_surprise
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import SmoothingSettings
from monitor.testing.fakes import Brightness, brightness_model
from monitor.types import Detection

SMOOTHING = SmoothingSettings()
FRAMES = 6000


class Sharp(Brightness):
    name = "sharp"
    sees = "movement"


class Fast(Brightness):
    name = "fast"
    sees = "movement"


def model(*, blind: bool = False) -> Model:
    """Two detectors of motion with different units, and one of brightness, with independent scores."""
    rng = np.random.default_rng(0)
    scores = {
        "sharp": rng.exponential(1.0, FRAMES),
        "brightness": rng.exponential(1.0, FRAMES),
        "fast": np.full(FRAMES, np.nan) if blind else 1000 + 100 * rng.exponential(1.0, FRAMES),
    }
    held_out = HeldOut(np.arange(FRAMES) / 10, np.zeros(FRAMES, np.int32), scores)
    return replace(brightness_model(), detectors=(Sharp(), Brightness(), Fast()), held_out=held_out)


def test_surprise_is_how_rare_a_score_is() -> None:
    scores = np.random.default_rng(1).exponential(1.0, 200_000)
    surprise = fit_surprise(scores)
    for rarity in (0.5, 1.0, 1.5, 3.0, 5.0):
        assert surprise.of(rarity * math.log(10)) == pytest.approx(rarity, abs=0.05), "P(X > x) = exp(-x)"
    assert surprise.of(-1.0) == 0.0
    assert math.isnan(surprise.of(math.nan))


def test_surprise_of_scores_that_hardly_vary_is_finite() -> None:
    surprise = fit_surprise(np.array([1.0] * 50 + [math.nan]))
    assert surprise.of(1.0) == pytest.approx(-math.log10(0.05))
    assert math.isfinite(surprise.of(2.0))


def test_detectors_that_see_the_same_share_a_budget_and_add_up() -> None:
    scale = ModelScale(model(), 1.0, SMOOTHING)
    assert list(scale.senses) == ["movement", "brightness"]
    assert [s.false_alarms_per_day for s in scale.scales.values()] == [scale.allowed_per_day / 2] * 2
    one = scale.fuse([8.0, 0.7, 1070.0])
    both = scale.fuse([8.0, 0.7, 1800.0])
    assert both.score > one.score + 0.3
    assert one.detector == 0
    assert scale.fuse([3.0, 0.7, 1800.0]).detector == 2, "the most abnormal detector is named, independent of its units"


def test_what_an_extrapolated_threshold_rests_on() -> None:
    assert ModelScale(model(), 1.0, SMOOTHING).rests_on_s == pytest.approx(600, abs=1)
    assert ModelScale(model(), 150.0, SMOOTHING).rests_on_s is None, "the footage confirms one alarm per ten minutes"


def test_detectors_that_see_different_things_do_not_hide_each_other() -> None:
    scale = ModelScale(model(), 1.0, SMOOTHING)
    alone = scale.fuse([0.0, 30.0, 1000.0])
    assert alone.detector == 1
    assert alone.score == scale.scales["brightness"].units(30.0), "a score below typical does not reduce the result"
    assert scale.fuse([0.0, 0.1, 1000.0]).score < 0, "no score is above typical"


def test_what_two_senses_find_odd_at_once_counts_for_more() -> None:
    scale = ModelScale(model(), 1.0, SMOOTHING)
    moving, bright = (scale.fuse(odd) for odd in ([6.0, 0.0, 1500.0], [0.0, 4.0, 1000.0]))
    both = scale.fuse([6.0, 4.0, 1500.0])
    assert both.score == pytest.approx(math.hypot(moving.score, bright.score))
    assert both.detector == moving.detector, "the detector with the highest score is named"
    assert max(moving.score, bright.score) < both.score < moving.score + bright.score


def test_what_a_detector_that_is_hardly_better_than_chance_finds_odd_counts_for_little() -> None:
    class Doubtful(Fast):
        trust = 0.1

    doubting = ModelScale(replace(model(), detectors=(Sharp(), Brightness(), Doubtful())), 1.0, SMOOTHING)
    trusting = ModelScale(model(), 1.0, SMOOTHING)
    ordinary, odd = [0.7, 0.7, 1070.0], [0.7, 0.7, 1800.0]
    gained = [scale.fuse(odd).score - scale.fuse(ordinary).score for scale in (doubting, trusting)]
    assert 0 < gained[0] < 0.3 * gained[1]


def test_what_a_detector_finds_nothing_unusual_in_does_not_count_beside_the_others() -> None:
    class Calm(Brightness):
        usual = 1.0

    with_calm = replace(model(), detectors=(Sharp(), Calm(), Fast()))
    before, now = ModelScale(model(), 1.0, SMOOTHING), ModelScale(with_calm, 1.0, SMOOTHING)
    assert now.scales["brightness"].threshold == pytest.approx(before.scales["brightness"].threshold, rel=0.2)
    assert now.fuse([math.nan, 1.0, math.nan]).score == 0.0 < before.fuse([math.nan, 1.0, math.nan]).score
    assert now.fuse([math.nan, 30.0, math.nan]).score > 1


def test_one_that_cannot_judge_is_left_out() -> None:
    scale = ModelScale(model(), 1.0, SMOOTHING)
    assert scale.fuse([math.nan] * 3).detector is None
    assert math.isnan(scale.fuse([math.nan] * 3).score)
    assert scale.fuse([math.nan, math.nan, 1800.0]).detector == 2
    assert scale.fuse([8.0, math.nan, math.nan]).detector == 0


def test_a_detector_without_held_out_scores_is_named() -> None:
    with pytest.raises(ModelError, match="'fast'"):
        fit_senses(model(blind=True), SMOOTHING)


def test_senses_of_other_detectors_are_refused() -> None:
    senses = fit_senses(model(), SMOOTHING)
    with pytest.raises(ValueError, match="the senses belong to"):
        ModelScale.of_senses("m", ["sharp"], senses, 1.0)
    again = ModelScale.of_senses("m", ["sharp", "brightness", "fast"], senses, 1.0)
    assert again.scales == ModelScale(model(), 1.0, SMOOTHING).scales


def test_maps_of_one_sense_become_one_on_the_finest_grid() -> None:
    scale = ModelScale(model(), 1.0, SMOOTHING)
    sharp = np.full((3, 4), 0.5, np.float32)
    fast = np.full((6, 8), 1050.0, np.float32)
    sharp[0, 0] = 4.0  # unusual for one of them
    sharp[2, 3], fast[5, 7] = 3.5, 1350.0  # less unusual, but for both
    brightness = np.zeros((2, 2), np.float32)
    found = [Detection(1.0, sharp), Detection(1.0, brightness), Detection(1.0, fast)]
    together = scale.anomaly_map(found, 0)
    assert together is not None
    assert together.shape == (6, 8)
    assert together.argmax() == 5 * 8 + 7
    assert scale.anomaly_map(found, 1) is brightness
    assert scale.anomaly_map([Detection(1.0), Detection(1.0), Detection(1.0, fast)], 2) is fast
    assert scale.anomaly_map([Detection(1.0)] * 3, 0) is None


def test_a_map_and_a_score_are_equally_rare() -> None:
    surprise = fit_surprise(np.random.default_rng(1).exponential(1.0, 5000))
    values = [0.0, 0.3, 1.0, 2.9, 3.1, 20.0]
    heat = surprise.of_map(np.array([values], np.float32))
    assert heat[0].tolist() == pytest.approx([surprise.of(value) for value in values], abs=0.01)
    assert surprise.of_map(np.array([[-5.0]], np.float32))[0, 0] < 0, "values below the usual keep their order"


def test_what_was_scored_for_seconds_only_is_not_taken_for_rarer_than_it_shows() -> None:
    bounds = [fit_surprise(np.random.default_rng(seed).exponential(1.0, 60)).mean_excess for seed in range(200)]
    assert np.mean(np.array(bounds) >= 1.0) > 0.9, "the true mean height over any quantile is 1"
    hours = fit_surprise(np.random.default_rng(2).exponential(1.0, 100_000))
    assert hours.mean_excess == pytest.approx(1.0, abs=0.1)
