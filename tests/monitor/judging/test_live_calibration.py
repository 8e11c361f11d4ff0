"""Thresholds that follow what is watched: the allowance of the first day, live peaks, events that nobody has judged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import BLOCK_S, LEAST_BLOCKS, MOST_BLOCKS, LiveCalibration, Peaks, live_tail
from monitor.scores.calibration import DAY_S
from monitor.scores.lasting import Lasting
from monitor.scores.smoothing import SmoothingSettings
from monitor.testing.fakes import brightness_model, brightness_scale


def scale(budget: float = 1.0) -> ModelScale:
    """A scale by which a score need not last for an alarm: independent scores never last."""
    return ModelScale(brightness_model(), budget, SmoothingSettings(), Lasting(0.0))


def watch(
    calibration: LiveCalibration, seconds: float, rng: np.random.Generator, mean: float = 0.01, start_s: float = 0.0
) -> int:
    """Watch scores of 0.1 with exponential noise, one in two seconds. Alarms within five minutes count as one."""
    alarms, last = 0, -math.inf
    for i in range(int(seconds / 2)):
        time_s = start_s + 2 * i
        score = 0.1 + float(rng.exponential(mean))
        alarmed = score >= calibration.scale.scales["brightness"].threshold
        if alarmed and time_s - last >= 300:
            alarms += 1
        last = time_s if alarmed else last
        calibration.take(0, time_s, [score], alarmed=alarmed)
    return alarms


def test_more_is_allowed_at_first_and_after_a_day_the_budget() -> None:
    calibration = LiveCalibration(scale())
    allowed = []
    for i in range(int(1.1 * DAY_S)):
        calibration.take(0, float(i), [0.1], alarmed=False)
        if i in (0, 3600, 6 * 3600, int(DAY_S)):
            allowed.append(calibration.scale.allowed_per_day)
    assert allowed == pytest.approx([288.0, 23.6, 4.0, 1.0], rel=0.02)
    assert calibration.peaks["brightness"].highest == [], "it does not learn on"


def test_an_early_alarm_is_one_that_the_budget_alone_would_not_raise() -> None:
    present = LiveCalibration(scale()).scale
    low, high = present.scales["brightness"].threshold, scale(1e-3).scales["brightness"].threshold
    assert present.early([low * 1.01], 1.0)
    assert not present.early([high * 10], 1.0)
    assert not scale(1000.0).early([high * 10], 1.0), "the budget allows more than the first day would"


def test_the_budget_holds_on_days_with_higher_scores_than_were_learned() -> None:
    """What was learned has a deviation of 0.01; what is watched has exponential noise with a mean of 0.05."""
    learned = scale().scales["brightness"].threshold
    learning = LiveCalibration(scale(), on=True)
    rng = np.random.default_rng(5)
    first = watch(learning, DAY_S, rng, 0.05)
    later = watch(learning, DAY_S, rng, 0.05, DAY_S)
    assert first <= 25
    assert later <= 4, "1 is expected"
    assert learning.scale.scales["brightness"].threshold > 3 * learned


def test_one_event_that_nobody_has_judged_raises_the_threshold_little() -> None:
    rng = np.random.default_rng(7)
    calibration = LiveCalibration(scale(), on=True)
    watch(calibration, DAY_S / 8, rng)
    before = calibration.scale.scales["brightness"].threshold
    for i in range(120):
        calibration.take(0, DAY_S / 8 + i, [50.0], alarmed=True)
    for i in range(int(2 * BLOCK_S)):
        calibration.take(0, DAY_S / 8 + 120 + i, [0.1], alarmed=False)
    after = calibration.scale.scales["brightness"].threshold
    assert 0 < after - before < 0.5 * (before - 0.1)


def test_the_thresholds_do_not_change_while_an_event_is_open() -> None:
    calibration = LiveCalibration(scale(), on=True)
    assert not any(calibration.take(0, float(i), [0.11], alarmed=True) for i in range(2000))
    assert any(calibration.take(0, 2000.0 + i, [0.11], alarmed=False) for i in range(60))


def test_time_without_frames_or_scores_is_not_watched() -> None:
    calibration = LiveCalibration(scale(), on=True)
    for i in range(100):
        calibration.take(i % 2, 1000.0 * i, [0.1], alarmed=False)
        calibration.take(i % 2, 1000.0 * i + 500, [math.nan], alarmed=False)
    assert calibration.watched_s == 0.0
    assert calibration.peaks["brightness"].highest == []


def test_what_was_kept_goes_on_and_is_bounded() -> None:
    kept = Peaks([0.1] * MOST_BLOCKS, [math.inf] * MOST_BLOCKS)
    calibration = LiveCalibration(scale(), on=True, peaks={"brightness": kept}, watched_s=14 * DAY_S)
    watch(calibration, 10 * BLOCK_S, np.random.default_rng(0))
    assert len(calibration.peaks["brightness"].highest) == MOST_BLOCKS
    assert calibration.scale.allowed_per_day == 1.0


def test_blocks_that_follow_each_other_are_one_peak_cut_off_at_its_limit() -> None:
    highest = [0.1] * 100 + [0.5, 0.9, 0.4] + [0.1] * 20 + [0.6] + [0.1] * 50
    limits = [math.inf] * 100 + [math.inf, 0.7, math.inf] + [math.inf] * 71
    tail = live_tail(Peaks(highest, limits))
    assert tail.start == pytest.approx(0.1)
    assert (tail.peaks, tail.known) == (2, 1)
    assert tail.excess == pytest.approx(0.6 + 0.5)
    assert len(highest) > LEAST_BLOCKS


def test_a_verdict_changes_the_thresholds_at_the_next_calm_frame() -> None:
    calibration = LiveCalibration(brightness_scale(), on=True)
    for number in range(100):
        calibration.peaks["brightness"].add(0.1 + 0.001 * number, math.inf, number)
    calibration.calibrate(earned=7)
    assert not calibration.take(0, 0.0, (0.1,), alarmed=True)
    assert calibration.take(0, 0.1, (0.1,), alarmed=False)
    assert not calibration.take(0, 0.2, (0.1,), alarmed=False)


def test_the_present_half_minute_can_be_judged_too() -> None:
    calibration = LiveCalibration(brightness_scale(), on=True)
    for number in range(7):
        calibration.take(0, number / 10, (0.9,), alarmed=True)
    assert calibration.judge(0, calibration.block, normal=True) == {"brightness": []}
    for number in range(7, 400):
        calibration.take(0, number / 10, (0.1,), alarmed=False)
    assert calibration.peaks["brightness"].limits == [math.inf]
    assert calibration.peaks["brightness"].highest[0] == pytest.approx(0.9)


def test_a_block_is_as_high_as_a_score_lasts_and_a_peak_of_one_frame_does_not_count() -> None:
    calibration = LiveCalibration(brightness_scale(), on=True)
    for number in range(320):
        score = 0.9 if number == 100 else 0.5 if 200 <= number < 210 else 0.1
        calibration.take(0, number / 10, (score,), alarmed=False)
    assert calibration.peaks["brightness"].highest == [pytest.approx(0.5)]
