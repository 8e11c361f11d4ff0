"""Scene memory with only minutes of footage: the texture of each place, independent of the light."""

import math

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.scene.patches import Patches, patch_picture, patch_size, textures
from monitor.detector.scene.scene_detector import Scene
from monitor.errors import ModelError
from monitor.types import Frame, Image

RATE = 5.0
_GROUND = np.kron(np.random.default_rng(5).integers(60, 180, (45, 80)), np.ones((4, 4)))


def _frame(i: int, light: float = 1.0, bag: bool = False) -> Frame:
    image = _GROUND * light + np.random.default_rng(i).normal(0, 2, _GROUND.shape)
    x = int(12 * i) % 400
    image[60:100, x : x + 16] = 30
    if bag:
        image[100:132, 160:200] = np.kron(np.random.default_rng(1).integers(0, 255, (8, 10)), np.ones((4, 4)))
    return Frame("a", i, i / RATE, np.repeat(np.clip(image, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.fit([[_frame(i) for i in range(300)]])


def _last(scene: Scene, frames: list[Frame]) -> float:
    stream = scene.new_stream()
    return [scene.score([Observation(frame, stream)])[0].score for frame in frames][-1]


def test_minutes_of_footage_teach_textures_and_ask_for_more_to_alarm(scene: Scene) -> None:
    assert scene.settings()["kind"] == "patches"
    assert scene.min_threshold > -math.inf
    assert _last(scene, [_frame(i) for i in range(300, 320)]) < 1.5
    assert _last(scene, [_frame(i, bag=True) for i in range(300, 320)]) > scene.min_threshold


def test_other_light_raises_no_alarm(scene: Scene) -> None:
    assert _last(scene, [_frame(i, light=0.8) for i in range(300, 320)]) < scene.min_threshold


def test_the_map_shows_the_place(scene: Scene) -> None:
    stream = scene.new_stream()
    anomaly_map = scene.score([Observation(_frame(i, bag=True), stream) for i in range(300, 302)])[-1].anomaly_map
    assert anomaly_map is not None
    assert anomaly_map.shape == (scene.settings()["rows"], scene.settings()["columns"]) == (11, 20)
    row, column = np.unravel_index(int(anomaly_map.argmax()), anomaly_map.shape)
    assert 6 <= row <= 7
    assert 10 <= column <= 12


def test_a_stored_model_scores_alike_and_a_damaged_one_is_refused(scene: Scene) -> None:
    frames = [_frame(i, bag=True) for i in range(10)]
    stored = Scene.load(scene.settings(), scene.tensors(), "cpu")
    assert stored.min_threshold == scene.min_threshold
    assert _last(stored, frames) == _last(scene, frames)
    with pytest.raises(ModelError, match="not above 0"):
        Scene.load(scene.settings(), {**scene.tensors(), "grey.scale": np.zeros((11, 20), np.float32)}, "cpu")
    with pytest.raises(ModelError, match="places"):
        Scene.load({**scene.settings(), "kind": "states"}, scene.tensors(), "cpu")


def test_textures_have_no_brightness_and_little_contrast() -> None:
    ground: Image = np.random.default_rng(0).integers(0, 256, (1, 8, 8)).astype(np.uint8)
    found = textures(ground)
    assert found.shape == (1, 2, 2, 16)
    assert found.mean(axis=3) == pytest.approx(np.zeros((1, 2, 2)), abs=1e-4)
    assert np.sqrt(np.square(found).mean(axis=3)) == pytest.approx(np.full((1, 2, 2), 20.0), abs=1e-3)


def test_pictures_of_any_size_are_brought_to_places() -> None:
    for width, height in ((320, 176), (640, 360), (128, 64), (1920, 1080)):
        size = patch_size(width, height)
        assert patch_picture(np.zeros((height, width, 3), np.uint8), size).shape == (size[1], size[0])
        assert size[0] % 4 == size[1] % 4 == 0


def test_a_place_never_varied_is_learned_too() -> None:
    patches = Patches.learn(np.full((40, 8, 8), 90, np.uint8))
    assert patches.size == (8, 8)
    assert patches.compare(np.full((8, 8), 30, np.uint8)).max() == 0
    assert patches.compare(np.kron([[0, 200]], np.ones((8, 4))).astype(np.uint8)).max() == 0
    assert patches.compare(np.tile(np.array([[0, 200]], np.uint8), (8, 4))).min() > 3
