import math
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.scores.smoothing import CausalMedian, SmoothingSettings


def test_at_25_fps_the_window_grows_from_5_to_9_frames_as_published() -> None:
    smoother = CausalMedian(min_window_s=0.2, max_window_s=0.36, growth=15.0)
    values = [float((i * 37) % 101) for i in range(200)]
    for i, value in enumerate(values):
        width = min(9, max(5, math.ceil(round((i / 25) / 15 * 25, 6))))
        expected = median(values[max(0, i - width + 1) : i + 1])
        assert smoother.update(i / 25, value) == expected, f"frame {i}, window {width}"


def test_a_dropped_frame_does_not_stretch_the_window() -> None:
    smoother = CausalMedian(0.3, 0.3)
    for time_s, value in ((0.0, 1.0), (0.1, 1.0), (0.2, 1.0)):
        smoother.update(time_s, value)
    assert smoother.update(0.6, 9.0) == 9.0


def test_one_outlier_does_not_show_and_a_step_shows_after_half_a_window() -> None:
    smoother = CausalMedian(0.5, 0.5)
    scores = [0.0] * 10 + [5.0] + [0.0] * 10 + [5.0] * 10
    smoothed = [smoother.update(i / 10, s) for i, s in enumerate(scores)]
    assert smoothed[10] == 0.0
    assert smoothed[21:25] == [0.0, 0.0, 5.0, 5.0]


def test_reset_forgets_and_starts_with_the_short_window() -> None:
    smoother = CausalMedian(0.2, 2.0, growth=1.0)
    for i in range(50):
        smoother.update(i / 10, 1.0)
    smoother.reset()
    assert smoother.update(100.0, 7.0) == 7.0
    smoother.update(100.1, 7.0)
    assert smoother.update(100.2, 1.0) == 4.0


def test_nan_passes_through_and_is_not_kept() -> None:
    smoother = CausalMedian(1.0, 1.0)
    assert math.isnan(smoother.update(0.0, math.nan))
    assert smoother.update(0.1, 2.0) == 2.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_median_never_looks_ahead_and_stays_within_what_it_saw(values: list[float]) -> None:
    whole, part = CausalMedian(), CausalMedian()
    smoothed = [whole.update(i / 10, v) for i, v in enumerate(values)]
    for i, value in enumerate(values):
        assert part.update(i / 10, value) == smoothed[i]
        assert min(values[: i + 1]) <= smoothed[i] <= max(values[: i + 1])


@pytest.mark.parametrize(("low", "high", "growth"), [(0.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.1, 1.0, 0.0)])
def test_senseless_windows_are_refused(low: float, high: float, growth: float) -> None:
    with pytest.raises(ValueError, match="must"):
        SmoothingSettings(min_window_s=low, max_window_s=high, growth=growth)
