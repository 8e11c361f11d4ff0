from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.evaluate.paired import Against, comparison, macro, micro
from training.evaluate.ranking import Judged


def clips(count: int, better: float = 0.0) -> list[Judged]:
    """Clips of very different difficulty. better: how much the scores of abnormal frames are raised."""
    rng = np.random.default_rng(5)
    found = []
    for number in range(count):
        abnormal = rng.random(80) < 0.4
        score = rng.standard_normal(80) + abnormal * (rng.uniform(0, 3) + better)
        found.append(Judged(str(number), abnormal, score))
    return found


def test_the_gain_is_the_difference_and_paired_resamples_show_a_small_one() -> None:
    this, other = clips(10, better=0.3), clips(10)
    found = micro(this, other)
    labels = np.concatenate([video.abnormal for video in this])

    def auc(videos: list[Judged]) -> float:
        return float(roc_auc_score(labels, np.concatenate([video.score for video in videos])))

    assert found.gain == pytest.approx(auc(this) - auc(other))
    assert found.interval is not None
    low, high = found.interval
    assert 0 < low < found.gain < high
    assert high - low < 0.06  # one figure alone varies by more than this
    by_video = macro(this, other)
    assert by_video is not None
    assert by_video.interval is not None
    assert 0 < by_video.interval[0] < by_video.gain < by_video.interval[1]


def test_a_model_beside_itself_gains_nothing() -> None:
    found = micro(clips(5), clips(5))
    assert (found.gain, found.interval) == (0.0, (0.0, 0.0))


def test_few_clips_have_no_interval_and_clips_of_one_class_no_macro() -> None:
    def whole(kind: bool, score: NDArray[np.float64]) -> Judged:
        return Judged(str(kind), np.full(len(score), kind), score)

    videos = [whole(True, np.linspace(0, 2, 9)), whole(False, np.linspace(0, 1, 9))]
    assert micro(videos, videos).interval is None
    assert macro(videos, videos) is None
    text = comparison(Against("door/2", "door/1", {"fused": micro(videos, videos)}, {}, (3, 2), (0, 1)))
    assert "Beside door/1, on the same videos:" in text
    assert "+0.000" in text
    assert text.splitlines()[-1] == "events found: 3 beside 2; false alarms: 0 beside 1"
