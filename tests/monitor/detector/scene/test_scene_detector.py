"""Scene memory finds a scene that never looked like this, with or without motion. It does not find usual states."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.registry import detector_class
from monitor.detector.scene.scene_detector import Scene
from monitor.detector.scene.scene_states import States, farthest_first, top_mean
from monitor.errors import ModelError, UsageError
from monitor.stream.regimes import Regime
from monitor.types import Detection, Frame, Image

RATE = 1.0
_ROOM = np.kron(np.random.default_rng(5).integers(70, 170, (9, 16, 3)), np.ones((10, 10, 1)))


_NOISE = np.random.default_rng(6).normal(0, 2, (31, *_ROOM.shape))


def _picture(t: float, light: float = 1.0) -> Image:
    """A room with a chair in one of three places and a curtain that moves."""
    image = _ROOM * light + _NOISE[round(t * RATE) % len(_NOISE)]
    x = 20 + 40 * (int(t / 60) % 3)
    image[60:85, x : x + 20] = 40
    image[0:40, 130 : 140 + int(10 * math.sin(t / 40))] = (60, 140, 200)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _grey(image: Image) -> Image:
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def _clip(
    from_s: float,
    to_s: float,
    paint: Callable[[Image, float], Image] = lambda image, _: image,
    later_s: float = 0.0,
) -> list[Frame]:
    numbers = range(round(from_s * RATE), round(to_s * RATE))
    return [Frame("a", i, later_s + i / RATE, paint(_picture(i / RATE), i / RATE)) for i in numbers]


def _lying(image: Image, t: float) -> Image:
    if t >= 2020:
        image[20:45, 20:80] = (90, 110, 160)
    return image


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Learned from parts spread over one day: 30 minutes of colour and 15 minutes of infrared."""

    def pieces() -> Iterator[list[Frame]]:
        for start in range(0, 1800, 300):
            yield _clip(start, start + 300, later_s=40 * start)
        yield _clip(1800, 2700, lambda image, _: _grey(image), later_s=40 * 1800)

    return Scene.fit(pieces(), most=256)


def _scores(detector: Scene, frames: list[Frame]) -> list[Detection]:
    stream = detector.new_stream()
    return [detector.score([Observation(frame, stream)])[0] for frame in frames]


def test_usual_states_are_usual_and_a_lying_person_is_not(scene: Scene) -> None:
    assert scene.regimes == (Regime.COLOUR, Regime.GREY)
    found = _scores(scene, _clip(2000, 2040, _lying))
    assert max(d.score for d in found[:20]) < scene.min_threshold
    assert found[-1].score > 2 * scene.min_threshold
    assert str(found[-1].reasons[0]).startswith("distance from all colour pictures learned")
    anomaly_map = found[-1].anomaly_map
    assert anomaly_map is not None
    assert anomaly_map.shape == (8, 16)
    rows, columns = np.nonzero(anomaly_map > anomaly_map.max() / 2)
    assert rows.min() >= 1
    assert rows.max() <= 4
    assert columns.min() >= 1
    assert columns.max() <= 8


def test_someone_who_only_passes_is_left_to_the_other_detectors(scene: Scene) -> None:
    found = _scores(scene, _clip(2000, 2030, lambda image, t: _lying(image, t + 5) if 15 <= t - 2000 < 17 else image))
    assert max(d.score for d in found) < scene.min_threshold


def test_a_switch_to_infrared_is_held_and_then_compared_with_infrared(scene: Scene) -> None:
    found = _scores(scene, _clip(2000, 2040, lambda image, t: _grey(image) if t >= 2020 else image))
    held = [i / RATE for i, d in enumerate(found) if math.isnan(d.score)]
    assert held[0] == 20
    assert held[-1] < 27
    assert max(d.score for d in found[-10:]) < scene.min_threshold


def test_a_regime_that_was_never_learned_is_not_judged() -> None:
    detector = Scene.fit([_clip(0, 300)], most=64)
    assert all(math.isnan(d.score) for d in _scores(detector, _clip(300, 310, lambda image, _: _grey(image))))


def test_the_same_frames_give_the_same_model() -> None:
    first, second = (Scene.fit([_clip(0, 120)], most=32).tensors() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_stored_model_scores_alike(scene: Scene) -> None:
    stored = detector_class("scene").load(scene.settings(), scene.tensors(), "auto")
    assert isinstance(stored, Scene)
    frames = _clip(2015, 2030, _lying)
    assert [d.score for d in _scores(stored, frames)] == [d.score for d in _scores(scene, frames)]


def test_damaged_parts_are_refused(scene: Scene) -> None:
    with pytest.raises(ModelError, match="lacks the tensor"):
        Scene.load(scene.settings(), {}, "cpu")
    bad = {**scene.tensors(), "colour.unit": np.zeros(1, np.float32)}
    with pytest.raises(ModelError, match="not above 0"):
        Scene.load(scene.settings(), bad, "cpu")
    with pytest.raises(ModelError, match="exemplars"):
        Scene.load({**scene.settings(), "exemplars": [3]}, scene.tensors(), "cpu")


def test_too_little_footage_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 32 pictures"):
        Scene.fit([_clip(0, 5)])


def test_exemplars_are_the_farthest_first_and_never_twice_the_same() -> None:
    samples = np.array([[0.0], [1.0], [10.0], [10.0], [4.0]], np.float32)
    assert farthest_first(samples, 3).tolist() == [0, 2, 4]
    assert sorted(farthest_first(samples, 9).tolist()) == [0, 1, 2, 4]


def test_a_block_is_compared_with_the_most_alike_of_several_states() -> None:
    rng = np.random.default_rng(0)
    pictures = (100 + rng.normal(0, 1, (64, 8, 16, 3))).astype(np.float32)
    pictures[::2, 0:4] += 40  # the curtain open or closed
    pictures[:32, 4:8] += 30  # the lamp on or off
    states, scores = States.learn(pictures, np.arange(64.0), 64)
    assert scores.shape == (64,)
    blocks, alike = states.compare(pictures[7])
    assert top_mean(blocks) < 1.5
    assert states.time_s[alike] == 7
    strange = pictures[7].copy()
    strange[2:4, 2:5] = 60
    assert states.compare(strange)[0][2:4, 2:5].min() > 3
