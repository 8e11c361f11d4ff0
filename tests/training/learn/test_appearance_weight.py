"""The weight of appearance is measured on synthetic anomalies."""

import numpy as np
import pytest

from monitor.detector.appearance.appearance_detector import Appearance
from monitor.errors import UsageError
from monitor.types import Frame
from tests.helpers.gliding import clip, picture
from training.learn.appearance_weight import synthetic_auc_of_appearance
from training.learn.learners import LEARNERS
from training.progress import Report


def known() -> list[list[Frame]]:
    return [clip(20, 5), clip(-15, 5, 80)]


def unseen() -> list[list[Frame]]:
    return [clip(25, 4, 30), clip(-20, 4, 120)]


def test_it_finds_synthetic_anomalies_better_than_chance_and_always_alike() -> None:
    auc = synthetic_auc_of_appearance(known(), unseen(), samples=40)
    assert 0.55 < auc <= 1
    assert synthetic_auc_of_appearance(known(), unseen(), samples=40) == auc


def test_where_nothing_moves_it_says_that_its_weight_is_unknown() -> None:
    still = [[Frame("a", i, i / 10, picture(30.0)) for i in range(40)]]
    with pytest.raises(UsageError, match="its weight cannot be measured"):
        synthetic_auc_of_appearance(still, still, samples=8)


@pytest.mark.parametrize(("auc", "weight"), [(0.75, 0.25), (0.55, None)])
def test_what_hardly_finds_them_earns_no_place(
    auc: float, weight: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.learn.appearance_weight.synthetic_auc_of_appearance", lambda *_: auc)
    learner = LEARNERS["appearance"]
    assert learner.weigh is not None
    kept = learner.weigh(Appearance.fit(known()), known(), unseen(), Report(quiet=True))
    assert (None if kept is None else kept.trust) == (None if weight is None else pytest.approx(weight))


def test_the_memory_that_is_weighed_looks_at_the_pictures_of_the_anomalies() -> None:
    grey = [[(f.time_s, np.asarray(f.image[:, :, 0])) for f in frames] for frames in known()]
    assert Appearance.fit_grey(grey).size == (160, 96)
