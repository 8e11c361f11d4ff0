from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.judging.alerting import AlertRule, AlertSettings
from monitor.scores.lasting import Lasting
from monitor.states import Phase

STEPS = st.sampled_from([0.04, 0.1, 0.2, 0.5, 1.2])
SCORES = st.lists(st.tuples(STEPS, st.integers(0, 40)), min_size=1, max_size=40)


def stream(drawn: list[tuple[float, int]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    time_s = np.cumsum([step for step, _ in drawn])
    return time_s, np.array([score / 10 for _, score in drawn])


def raised(time_s: NDArray[np.float64], units: NDArray[np.float64], settings: AlertSettings) -> bool:
    rule = AlertRule(settings)
    events = [rule.update(float(at), float(score)) for at, score in zip(time_s, units, strict=True)]
    return any(event is not None and event.phase is Phase.START for event in events)


@pytest.mark.parametrize("duration_s", [0.0, 0.3])
def test_frames_with_the_same_time_have_heights(duration_s: float) -> None:
    time_s, score = np.array([0.0, 0.0, 0.0, 0.5, 0.5]), np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    heights = Lasting(duration_s).heights(time_s, score, 0.0)
    assert heights[3:].tolist() == ([5.0, 4.0] if duration_s == 0.0 else [2.5, 2.0])


@given(SCORES, st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([0.0, 0.4]))
@example([(0.04, 12), (0.04, 10), (0.5, 10)], 0.3, 0.0)
def test_a_threshold_raises_an_alarm_exactly_up_to_the_height(
    drawn: list[tuple[float, int]], duration_s: float, typical: float
) -> None:
    settings = AlertSettings(min_duration_s=duration_s)
    time_s, score = stream(drawn)
    heights = settings.lasting.heights(time_s, score, typical)
    highest = -math.inf if np.isnan(heights).all() else float(np.nanmax(heights))
    for threshold in (0.7, 1.15, 2.05, 3.3):
        units = (score - typical) / (threshold - typical)
        if abs(highest - threshold) > 1e-6:
            assert raised(time_s, units, settings) is (highest > threshold)


@given(SCORES, st.sampled_from([0.0, 0.3, 1.0]))
def test_a_stream_gives_the_same_heights_frame_by_frame(drawn: list[tuple[float, int]], duration_s: float) -> None:
    time_s, score = stream(drawn)
    score[::5] = math.nan
    lasting = Lasting(duration_s, 0.8)
    heights = lasting.stream(0.2)
    found = [heights.update(float(at), float(value)) for at, value in zip(time_s, score, strict=True)]
    assert found == pytest.approx(lasting.heights(time_s, score, 0.2).tolist(), nan_ok=True)


def test_a_peak_of_one_frame_is_as_high_as_what_surrounds_it() -> None:
    time_s = np.arange(20) / 10
    score = np.full(20, 0.5)
    score[10] = 9.0
    heights = Lasting(0.5, 0.8).heights(time_s, score, 0.0)
    assert np.nanmax(heights) == pytest.approx(0.5 / 0.8)
    assert np.isnan(heights[:5]).all()
    assert not np.isnan(heights[5:]).any()


def test_without_a_duration_the_height_is_the_score_and_a_reset_forgets() -> None:
    score = np.array([1.0, 3.0, 2.0])
    assert Lasting(0.0, 0.8).heights(np.array([0.0, 0.1, 0.2]), score, 0.0).tolist() == score.tolist()
    heights = Lasting(0.2, 0.8).stream(0.0)
    assert math.isnan(heights.update(0.0, 4.0))
    assert heights.update(0.2, 4.0) == 4.0
    heights.reset()
    assert math.isnan(heights.update(0.3, 4.0))
