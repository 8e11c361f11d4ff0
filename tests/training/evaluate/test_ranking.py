from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluate.ranking import LEAST_CLIPS, Judged, bootstrap, metrics

RNG = np.random.default_rng(3)


def clips(count: int, ties: int = 10_000) -> list[Judged]:
    """Clips with scores that separate abnormal and normal frames, differently well in each clip."""
    found = []
    for number in range(count):
        abnormal = RNG.random(60) < 0.4
        score = np.round((RNG.standard_normal(60) + abnormal * RNG.uniform(0, 2)) * ties) / ties
        found.append(Judged(str(number), abnormal, score))
    return found


@pytest.mark.parametrize("ties", [10_000, 2])
def test_interval_is_that_of_resampled_clips_measured_one_by_one(ties: int, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = clips(6, ties)
    monkeypatch.setattr("training.evaluate.ranking.RESAMPLES", 200)
    monkeypatch.setattr("training.evaluate.ranking._CHUNK", 1000)  # so that it works in several chunks
    draws = np.random.default_rng(0).integers(0, 6, (200, 6))
    aucs, aps = [], []
    for row in draws:
        labels = np.concatenate([videos[i].abnormal for i in row])
        scores = np.concatenate([videos[i].score for i in row])
        aucs.append(roc_auc_score(labels, scores))
        aps.append(average_precision_score(labels, scores))
    auc, ap = bootstrap([v.abnormal for v in videos], [v.score for v in videos])
    assert auc == pytest.approx(tuple(np.quantile(aucs, (0.025, 0.975))))
    assert ap == pytest.approx(tuple(np.quantile(aps, (0.025, 0.975))))


def test_intervals_hold_the_figures_and_are_the_same_every_time() -> None:
    videos = clips(12)
    found, again = metrics(videos), metrics(videos)
    assert found == again
    for name in ("auc_micro", "auc_macro", "ap_micro", "ap_macro"):
        low, high = getattr(found, f"{name}_interval")
        assert low < getattr(found, name) < high
        assert high - low < 0.4


def test_few_clips_have_no_interval() -> None:
    found = metrics(clips(LEAST_CLIPS - 1))
    assert found.auc_micro_interval is None
    assert found.ap_macro_interval is None
    assert metrics(clips(LEAST_CLIPS)).auc_micro_interval is not None


def test_resamples_of_one_class_are_left_out() -> None:
    def one(kind: bool) -> NDArray[np.bool_]:
        return np.full(20, kind)

    videos = [Judged("a", one(True), RNG.random(20) + 0.5), *(Judged(n, one(False), RNG.random(20)) for n in "bcd")]
    found = metrics(videos)
    assert math.isnan(found.auc_macro)
    assert found.auc_macro_interval is None
    assert found.auc_micro_interval is not None
    assert all(math.isfinite(end) for end in found.auc_micro_interval)
