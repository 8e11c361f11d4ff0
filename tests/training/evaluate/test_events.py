from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


@pytest.mark.parametrize("early", [alarm(5, 15), alarm(5, 9999), alarm(8.9, 10.0), alarm(0, 10)])
def test_an_alarm_that_was_on_before_finds_nothing_and_is_false(early: Alarm) -> None:
    found = compare([truth((10, 20))], [early], 1.0)
    assert (found.found, found.already_on, found.false_alarms) == (0, 1, (early,))
    assert math.isnan(found.delay_s)
    again = compare([truth((10, 20))], [early, alarm(16, 17)], 1.0)
    assert (again.found, again.delay_s, again.already_on) == (1, 6.5, 0), "another alarm is raised in it"


def test_an_alarm_that_is_raised_half_a_second_before_the_label_and_stays_on_finds_it_at_once() -> None:
    found = compare([truth((10, 20))], [alarm(9.1, 12)], 1.0)
    assert (found.found, found.delay_s, found.false_alarms) == (1, 0.0, ())
    assert compare([truth((10, 20))], [alarm(9.1, 9.9)], 1.0).found == 0, "it was over before"


def test_an_alarm_that_rises_before_an_event_and_is_raised_in_it_finds_it() -> None:
    found = compare([truth((10, 20))], [alarm(9.6, 12, raised_s=10.1)], 1.0)
    assert (found.found, found.false_alarms) == (1, ())
    assert found.delay_s == pytest.approx(0.1)


def test_an_event_that_labels_cut_into_pieces_is_found_by_one_alarm_and_another_event_is_not() -> None:
    pieces = compare([truth((10, 12), (12.5, 14), (15, 20))], [alarm(11, 19)], 1.0)
    assert (pieces.found, pieces.delay_s, pieces.missed) == (3, 1.5, ())
    later = compare([truth((10, 12), (30, 40))], [alarm(11, 35)], 1.0)
    assert (later.found, later.already_on, later.false_alarms) == (1, 1, ())
    assert later.missed == (("a", 30, 40),)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 60)), max_size=6),
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 20)), max_size=6),
)
def test_a_constant_alarm_never_raises_recall_and_every_alarm_counts_once(
    intervals: list[tuple[float, float]], rises: list[tuple[float, float]]
) -> None:
    edges = sorted({edge for pair in intervals for edge in pair})
    events = truth(*zip(edges[::2], edges[1::2], strict=False))
    alarms = [alarm(start, start + length) for start, length in rises]
    plain = compare([events], alarms, 1.0)
    always = compare([events], [Alarm("a", -5.0, -4.5, 1e9, 9.0, 0.0, "motion", (), True), *alarms], 1.0)
    assert always.found == plain.found
    assert always.events == plain.events == plain.found + len(plain.missed)
    assert len(always.false_alarms) == len(plain.false_alarms) + 1
    assert math.isnan(plain.delay_s) or plain.delay_s >= 0


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
