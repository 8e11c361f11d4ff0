"""Whole pictures learned from every second: what is odd as a whole is found, and hours are scored by other hours."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.detector.base import Observation
from monitor.detector.scene import whole_scene
from monitor.detector.scene.picture_memory import Pictures
from monitor.detector.scene.scene_detector import Scene
from monitor.detector.scene.whole_scene import WholeScene
from monitor.errors import ModelError, UsageError
from monitor.stream.regimes import Regime
from monitor.types import Frame, Image

_ROOM = np.kron(np.random.default_rng(5).integers(70, 170, (8, 16, 3)), np.ones((10, 10, 1)))


def picture(number: int, light: float = 1.0) -> Image:
    """A room with a chair in one of three places."""
    image = _ROOM * light + np.random.default_rng(number).normal(0, 2, _ROOM.shape)
    x = 20 + 40 * (number // 20 % 3)
    image[50:75, x : x + 20] = 40
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def frames(count: int, start_s: float = 0.0, light: float = 1.0) -> list[Frame]:
    """One frame per second."""
    return [Frame("a", i, start_s + i, picture(i, light)) for i in range(count)]


def learned(*blocks: list[Frame]) -> tuple[Scene, NDArray[np.float64]]:
    whole = WholeScene()
    for number, block in enumerate(blocks):
        for i, frame in enumerate(block):
            whole.take(frame, number, fresh=i == 0)
    return whole.finish()


def scores(detector: Scene, stream: list[Frame]) -> NDArray[np.float64]:
    state = detector.new_stream()
    return np.array([detector.score([Observation(frame, state)])[0].score for frame in stream])


def lying(stream: list[Frame]) -> list[Frame]:
    """Someone lies on the floor from the fortieth second on."""
    for frame in stream[40:]:
        frame.image[20:45, 20:100] = (90, 110, 160)
    return stream


def test_what_was_never_seen_is_far_from_all_that_was() -> None:
    scene, _ = learned(frames(120), frames(120), frames(120))
    usual, odd = scores(scene, frames(100)), scores(scene, lying(frames(100)))
    assert np.nanquantile(usual, 0.99) < 1.5
    assert np.nanmin(odd[46:]) > 1.4 * np.nanmax(usual)
    state = scene.new_stream()
    found = [scene.score([Observation(frame, state)])[0] for frame in lying(frames(60))][-1]
    assert found.anomaly_map is not None
    assert found.anomaly_map.shape == (8, 16)
    row, column = np.unravel_index(int(found.anomaly_map.argmax()), found.anomaly_map.shape)
    assert 2 <= row <= 4
    assert 2 <= column <= 9, "the place where someone lies"
    assert found.reasons[0].term == "distance from all colour pictures learned"


def test_a_light_of_one_hour_is_far_for_the_other_hours_until_another_one_has_it() -> None:
    _, once = learned(frames(60), frames(60, light=0.6), frames(60))
    _, twice = learned(frames(60), frames(60, light=0.6), frames(60, light=0.6))
    assert len(once) == 180
    assert np.nanmedian(once[60:120]) > 3 * np.nanmedian(once[:60])
    assert np.nanmedian(twice[60:120]) < 1.5 * np.nanmedian(twice[120:])


def test_memory_is_bounded_and_the_rest_is_not_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_scene, "MOST_PICTURES", 50)
    scene, held_out = learned(frames(120), frames(120))
    assert 0.1 < np.isfinite(held_out).mean() < 0.6
    assert np.nanmedian(scores(scene, frames(60))) < 1.5


def test_only_regimes_that_were_seen_long_enough_are_judged() -> None:
    grey = [Frame("a", i, float(i), np.repeat(picture(i)[:, :, :1], 3, axis=2)) for i in range(60)]
    scene, _ = learned(frames(60), frames(60))
    assert scene.regimes == (Regime.COLOUR,)
    assert np.isnan(scores(scene, grey)[30:]).all()
    both, _ = learned(frames(60), frames(60), grey, grey)
    assert set(both.regimes) == {Regime.COLOUR, Regime.GREY}
    assert np.isfinite(scores(both, grey)[30:]).all()


def test_it_survives_storage_and_damaged_parts_are_refused() -> None:
    scene, _ = learned(frames(120), frames(120))
    again = Scene.load(scene.settings(), scene.tensors(), "cpu")
    stream = lying(frames(60))
    assert np.array_equal(scores(scene, stream), scores(again, stream), equal_nan=True)
    tensors = scene.tensors()
    for broken in (
        {"exemplars": tensors["exemplars"]},
        {**tensors, "unit": np.zeros(1, np.float32)},
        {**tensors, "exemplars": tensors["exemplars"][:1]},
    ):
        with pytest.raises(ModelError):
            Scene.load(scene.settings(), broken, "cpu")
    with pytest.raises(ModelError, match="too few pictures"):
        Scene.load({**scene.settings(), "pictures": 2}, {**tensors, "exemplars": tensors["exemplars"][:2]}, "cpu")


def test_too_little_footage_is_refused() -> None:
    with pytest.raises(UsageError, match="too short or shows no steady light"):
        learned(frames(1))


def test_blocks_that_are_left_out_do_not_count_and_the_others_count_for_the_whole() -> None:
    exemplars = np.random.default_rng(0).uniform(0, 255, (5, 4, 6, 3)).astype(np.float16)
    pictures = Pictures(exemplars, 2.0)
    left = np.zeros((4, 6), np.bool_)
    left[:, :3] = True
    evenly = exemplars[0].astype(np.float32) + 8.0
    whole, _ = pictures.compare(evenly)
    half, blocks = pictures.compare(evenly, left)
    assert half == pytest.approx(whole, rel=0.1), "the rest stands for the whole"
    assert not blocks[left].any()
    masked = exemplars[0].astype(np.float32)
    masked[left] = 128.0
    assert pictures.compare(masked)[0] > pictures.compare(masked, left)[0]
    assert pictures.compare(masked, left)[1].max() == pytest.approx(0.0, abs=0.1)
    assert pictures.compare(masked, np.ones((4, 6), np.bool_))[0] == 0.0, "nothing is scored"
