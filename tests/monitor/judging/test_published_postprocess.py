"""Compares the published post-processing with a slow, simple reference."""

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.errors import UsageError
from monitor.judging.published_postprocess import published_postprocess, published_window


def slow_window(n: int) -> int:
    width = n // 15
    if width < 5:
        width = 5
    if width > 9:
        width = 9
    return width + 1 if width % 2 == 0 else width


def slow_median(values: list[float], width: int) -> list[float]:
    half = width // 2
    padded = [values[0]] * half + values + [values[-1]] * half
    return [sorted(padded[k : k + width])[half] for k in range(len(values))]


def slow_percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def slow_postprocess(scores: dict[str, list[float]]) -> dict[str, list[float]]:
    smooth = {video: slow_median(values, slow_window(len(values))) for video, values in scores.items()}
    together = [value for values in smooth.values() for value in values]
    low, high = slow_percentile(together, 0.5), slow_percentile(together, 99.5)
    clipped = {video: [min(max(value, low), high) for value in values] for video, values in smooth.items()}
    least = min(min(values) for values in clipped.values())
    most = max(max(values) for values in clipped.values())
    return {video: [(value - least) / (most - least) for value in values] for video, values in clipped.items()}


def test_window_is_the_published_one() -> None:
    assert [published_window(n) for n in range(1, 301)] == [slow_window(n) for n in range(1, 301)]
    assert [published_window(n) for n in (1, 89, 90, 104, 105, 119, 120, 300)] == [5, 5, 7, 7, 7, 7, 9, 9]


def test_every_length_from_1_to_300_equals_the_slow_reference() -> None:
    rng = np.random.default_rng(5)
    for n in range(1, 301):
        scores = {"1": rng.normal(size=n), "2": rng.normal(size=7)}
        expected = slow_postprocess({video: values.tolist() for video, values in scores.items()})
        found = published_postprocess(scores)
        for video, values in expected.items():
            np.testing.assert_allclose(found[video], values, rtol=0, atol=1e-12, err_msg=f"n = {n}")


def test_all_videos_share_one_scale_and_keep_their_order() -> None:
    rng = np.random.default_rng(6)
    quiet, loud = rng.normal(0, 1, 400), rng.normal(50, 1, 400)
    found = published_postprocess({"b": quiet, "a": loud})
    assert list(found) == ["b", "a"]
    assert found["b"].min() == 0
    assert found["a"].max() == 1
    assert found["b"].max() < 0.1 < 0.9 < found["a"].min()


def test_float32_scores_are_accepted_and_equal_scores_give_zero() -> None:
    found = published_postprocess({"1": np.full(20, 0.3, np.float32), "2": np.full(3, 0.3, np.float32)})
    assert all(not values.any() for values in found.values())


@pytest.mark.parametrize(
    ("scores", "said"),
    [({}, "no videos"), ({"4": np.zeros(0)}, "video '4' has no scores"), ({"4": np.array([1.0, np.nan])}, "video '4'")],
)
def test_scores_that_cannot_be_used_are_named(scores: dict[str, NDArray[np.float64]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        published_postprocess(scores)
