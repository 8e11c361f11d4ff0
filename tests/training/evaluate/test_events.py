from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson

from training.evaluate.events import TOLERANCE_S, Alarm, Truth, compare, poisson_interval


def alarm(started_s: float, ended_s: float, video: str = "a", raised_s: float | None = None) -> Alarm:
    raised = started_s + 0.5 if raised_s is None else raised_s
    return Alarm(video, started_s, raised, ended_s, 1.5, started_s, "motion", (), True)


def truth(*intervals: tuple[float, float], video: str = "a", normal_s: float = 1800.0) -> Truth:
    return Truth(video, intervals, normal_s)


def test_intervals_run_from_the_first_to_the_last_abnormal_frame() -> None:
    abnormal = np.array([1, 1, 0, 0, 1, 0, 1], np.bool_)
    found = Truth.of_frames("a", abnormal, np.arange(7) / 10)
    assert found.intervals == ((0.0, 0.1), (0.4, 0.4), (0.6, 0.6))
    assert found.normal_s == pytest.approx(0.3)


def test_event_is_found_by_any_alarm_that_overlaps_it_and_the_first_sets_the_delay() -> None:
    found = compare([truth((10, 20), (40, 50))], [alarm(12, 13), alarm(15, 16), alarm(44, 60)], 1.0)
    assert (found.events, found.found, found.recall) == (2, 2, 1.0)
    assert found.delay_s == pytest.approx((2.5 + 4.5) / 2)
    assert found.false_alarms == ()


def test_alarm_that_comes_soon_after_an_event_still_belongs_to_it_and_a_later_one_does_not() -> None:
    assert compare([truth((10, 20))], [alarm(20 + TOLERANCE_S, 30)], 1.0).found == 1
    late = compare([truth((10, 20))], [alarm(20.1 + TOLERANCE_S, 30)], 1.0)
    assert (late.found, len(late.false_alarms)) == (0, 1)
    assert late.missed == (("a", 10, 20),)


def test_alarm_that_was_on_before_has_no_negative_delay() -> None:
    assert compare([truth((10, 20))], [alarm(5, 15)], 1.0).delay_s == 0.0


def test_alarms_of_another_video_are_false() -> None:
    found = compare([truth((10, 20)), truth(video="b")], [alarm(12, 15, "b")], 1.0)
    assert (found.found, [a.video for a in found.false_alarms]) == (0, ["b"])
    assert found.normal_hours == 1.0
    assert found.false_alarms_per_hour == 1.0
    assert found.false_alarms_per_hour_interval == poisson_interval(1)
    assert math.isnan(found.delay_s)


def test_without_normal_footage_there_is_no_rate() -> None:
    found = compare([truth((10, 20), normal_s=0.0)], [], 1.0)
    assert math.isnan(found.false_alarms_per_hour)
    assert found.false_alarms_per_hour_interval is None


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_interval_s_ends_are_the_means_that_would_just_explain_the_count(count: int) -> None:
    low, high = poisson_interval(count)
    assert low <= count <= high
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    if count:
        assert poisson.sf(count - 1, low) == pytest.approx(0.025)
