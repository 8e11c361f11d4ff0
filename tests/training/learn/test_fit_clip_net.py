"""How True Sight 2 learns: its samples, and that a training is reproducible and effective."""

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.true_sight2.true_sight2_detector import TrueSight2
from monitor.errors import UsageError
from monitor.types import Frame
from tests.helpers.gliding import clip, ground, picture
from training.learn.fit_clip_net import fit_true_sight2, make_batch, synthetic_auc
from training.learn.grey_footage import GreyClip, GreyFootage, empty_scene, grey_footage
from training.learn.synthetic_anomalies import AnomalyMaker


def _normal() -> list[list[Frame]]:
    return [clip(20, 6), clip(-15, 6, 80), clip(25, 6, 30, row=44), clip(-20, 6, 120, row=36)]


@pytest.fixture(scope="module")
def maker() -> AnomalyMaker:
    return AnomalyMaker(GreyFootage(grey_footage(_normal())), np.random.default_rng(0))


@pytest.fixture(scope="module")
def detector() -> TrueSight2:
    return fit_true_sight2(_normal(), steps=60, width=6)


def test_a_normal_sample_has_nothing_labelled_and_an_abnormal_one_mostly_has(maker: AnomalyMaker) -> None:
    assert not any(maker.normal().mask.any() for _ in range(40))
    assert np.mean([maker.abnormal().mask.any() for _ in range(40)]) > 0.9


def test_what_is_labelled_differs_from_the_background(maker: AnomalyMaker) -> None:
    found = [maker.abnormal() for _ in range(60)]
    differences = [np.abs(s.now - s.background)[s.mask].mean() for s in found if s.mask.any()]
    elsewhere = [np.abs(s.now - s.background)[~s.mask].mean() for s in found]
    assert np.median(differences) > 3 * np.median(elsewhere)


def test_moving_objects_are_cut_out_with_their_speed(maker: AnomalyMaker) -> None:
    speeds = [abs(thing.velocity[0]) for thing in maker.objects]
    assert len(speeds) > 20
    assert 15 < np.median(speeds) < 26
    assert max(abs(thing.velocity[1]) for thing in maker.objects) < 5


def test_the_usual_speed_is_that_of_what_moves(maker: AnomalyMaker) -> None:
    assert maker.usual.speed.shape == (6, 10)
    assert 15 < np.median(maker.usual.speed) < 35


def test_half_of_a_batch_is_normal(maker: AnomalyMaker) -> None:
    inputs, masks = make_batch(maker, 8)
    assert inputs.shape == (8, 15, 96, 160)
    assert masks.shape == (8, 96, 160)
    assert not masks[::2].any()


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    tensors = [fit_true_sight2([clip(20, 2.5)], seed=seed, steps=2, width=4).tensors() for seed in (1, 1, 2)]
    assert all(np.array_equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert any(not np.array_equal(tensors[0][name], tensors[2][name]) for name in tensors[0])


def test_it_learns_to_tell_synthetic_anomalies_from_footage_it_has_not_seen(detector: TrueSight2) -> None:
    assert synthetic_auc(detector, [clip(18, 6, 50, row=42)], samples=96) > 0.6


def test_a_judgement_without_any_anomaly_is_refused_with_a_sentence(
    detector: TrueSight2, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_abnormal(maker: AnomalyMaker, size: int) -> tuple[object, object]:
        inputs, masks = make_batch(maker, size)
        return inputs, np.zeros_like(masks)

    monkeypatch.setattr("training.learn.fit_clip_net.make_batch", none_abnormal)
    with pytest.raises(UsageError, match="give longer footage"):
        synthetic_auc(detector, [clip(18, 6, 50, row=42)], samples=1)


def test_a_block_that_is_far_too_fast_scores_above_one_at_the_usual_speed(detector: TrueSight2) -> None:
    def level(frames: list[Frame]) -> float:
        stream = detector.new_stream()
        return float(np.nanmedian([d.score for d in detector.score([Observation(f, stream) for f in frames])]))

    assert level(clip(70, 3, 10)) > level(clip(20, 3, 10))


def test_what_is_usual_is_known_after_training(detector: TrueSight2) -> None:
    settings = detector.settings()
    assert np.isfinite(settings["usual"])
    assert len(settings["head_usual"]) == 3


def test_one_short_clip_is_enough_to_learn_from() -> None:
    found = fit_true_sight2([clip(20, 2.5)], steps=2, width=4)
    assert np.isfinite(found.settings()["usual"])


def test_nothing_needs_to_move() -> None:
    still = [Frame("a", i, i / 10, np.repeat(ground()[..., None], 3, 2)) for i in range(25)]
    found = fit_true_sight2([still], steps=2, width=4)
    assert np.isfinite(found.settings()["usual"])


@pytest.mark.parametrize(
    ("clips", "sentence"),
    [
        ([], "at least 20 frames"),
        ([clip(20, 1)], "at least 20 frames"),
        ([clip(20, 0.2, start) for start in range(20)], "too short"),
        ([clip(20, 30, rate=1)], "too few frames per second"),
    ],
)
def test_too_little_footage_is_refused(clips: list[list[Frame]], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        fit_true_sight2(clips, steps=1, width=4)


def test_no_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 step"):
        fit_true_sight2(_normal(), steps=0)


def test_long_footage_is_thinned_evenly() -> None:
    frame = picture(0)
    frames = [Frame("a", i, i / 10, frame) for i in range(1200)]
    found = grey_footage([frames], most_frames=700)
    assert sum(len(c.times) for c in found) == 600
    assert [c.times[0] for c in found] == pytest.approx([0, 20, 40, 60, 80, 100])


def test_who_stands_through_one_clip_of_three_is_not_in_the_background() -> None:
    clips = [clip(0, 4, 70), clip(20, 4), clip(-20, 4, 140)]
    background = empty_scene(grey_footage(clips))
    assert np.abs(background - ground())[40:60, 70:82].mean() < 6


def test_recent_background_takes_up_who_stands_still() -> None:
    frames = clip(0, 14, 70)
    footage = GreyFootage(
        [GreyClip(np.array([f.time_s for f in frames]), np.stack([f.image[..., 0] for f in frames]))],
        ground().astype(np.float32),
    )
    first, last = footage.recent[0][0], footage.recent[0][-1]
    assert np.abs(first.astype(int) - ground())[40:60, 70:82].max() == 0
    assert np.abs(last.astype(int) - frames[0].image[..., 0])[40:60, 70:82].mean() < 6
