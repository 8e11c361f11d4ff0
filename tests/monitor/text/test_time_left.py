"""The time left is about right soon, also if the first steps were slower than their share, and never nonsense."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.text.time_left import TimeLeft


def after(*reached: tuple[float, float]) -> TimeLeft:
    left = TimeLeft()
    for now_s, fraction in reached:
        left.reached(now_s, fraction)
    return left


def test_work_at_a_steady_speed() -> None:
    left = after(*((100.0 + second, second / 100) for second in range(41)))
    assert left.left_s(140.0) == pytest.approx(60.0)
    assert left.left_s(150.0) == pytest.approx(50.0), "it counts down between two steps"
    assert left.in_words(140.0) == "about 60 s left" or left.in_words(140.0) == "about 1 min left"


def test_slow_first_steps_do_not_make_it_too_long() -> None:
    """Reading is a tenth of the work by estimate, but takes half of the time: 50 of 100 s."""
    steps = [(0.0, 0.0), (50.0, 0.1), *((50.0 + number * 5, 0.1 + 0.09 * number) for number in range(1, 11))]
    for number in range(4, 11):
        now_s, fraction = steps[number]
        left_s = after(*steps[: number + 1]).left_s(now_s)
        assert left_s is not None
        if fraction >= 0.28:
            assert left_s == pytest.approx(100.0 - now_s, rel=0.3)
            assert left_s < now_s * (1 - fraction) / fraction, "less than the mean speed says"


def test_nothing_is_said_too_early_or_while_one_step_takes_longer_than_all_the_rest_should() -> None:
    assert TimeLeft().left_s(0.0) is None
    assert after((0.0, 0.0), (9.0, 0.19)).left_s(9.0) is None
    left = after((0.0, 0.0), (50.0, 0.5))
    assert left.left_s(99.0) == pytest.approx(1.0)
    assert left.left_s(101.0) is None
    assert left.in_words(101.0) == ""


def test_a_single_step_after_a_quick_beginning_tells_nothing() -> None:
    """Several processes work at the same time: the first step is over when all are nearly over."""
    left = after((0.0, 0.0), (1.0, 0.1), (1.1, 0.15), (10.0, 0.21))
    assert left.left_s(10.0) is None
    left.reached(25.0, 0.5)
    assert left.left_s(25.0) == pytest.approx(26.0, abs=1.0)


def test_a_progress_that_falls_is_another_work() -> None:
    left = after((0.0, 0.0), (1000.0, 1.0), (1000.0, 0.0), (1010.0, 0.5))
    assert left.left_s(1010.0) == pytest.approx(10.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), max_size=40), st.floats(0, 1e7))
def test_the_time_left_is_never_negative_or_nonsense(steps: list[tuple[float, float]], later_s: float) -> None:
    now_s, left = 0.0, TimeLeft()
    for step_s, fraction in steps:
        now_s += step_s
        left.reached(now_s, fraction)
    found = left.left_s(now_s + later_s)
    assert found is None or (found >= 0 and math.isfinite(found))
