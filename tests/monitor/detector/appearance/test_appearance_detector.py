"""Appearance, on a block that glides over the ground: another texture, repeats, gaps, and what a lesson leaves out."""

import math
from functools import cache

import numpy as np
import pytest

from monitor.detector.appearance.appearance_detector import Appearance
from monitor.detector.base import Observation
from monitor.errors import ModelError, UsageError
from monitor.types import Detection, Frame, Image
from tests.helpers.gliding import clip, picture


@cache
def learned() -> Appearance:
    return Appearance.fit([clip(20.0, 6.0, start) for start in (0.0, 53.0, 90.0)])


def scores(frames: list[Frame]) -> list[Detection]:
    stream = learned().new_stream()
    return [learned().score([Observation(frame, stream)])[0] for frame in frames]


def striped(frames: list[Frame]) -> list[Frame]:
    """The same movement of something with another texture."""

    def paint(image: Image, t: float) -> Image:
        image = image.copy()
        left = round(20.0 * t) % 140
        stripes = np.where(np.arange(20)[:, None] // 2 % 2, 230, 20) + np.zeros((20, 12))
        image[40:60, left : left + 12] = stripes[:, :, None].astype(np.uint8)
        return image

    return [Frame(f.camera, f.index, f.time_s, paint(f.image, f.time_s)) for f in frames]


def test_another_texture_is_unusual_at_the_same_speed() -> None:
    usual, other = scores(clip(20.0, 4.0)), scores(striped(clip(20.0, 4.0)))
    assert math.isnan(usual[0].score), "the first frame shows no movement"
    assert np.median([d.score for d in other[1:]]) > 1.5 * np.median([d.score for d in usual[1:]])
    strongest = max(other[1:], key=lambda d: d.score)
    assert str(strongest.reasons[0]).startswith("difference from what moved here before")


def test_the_map_shows_where() -> None:
    found = scores(striped(clip(20.0, 2.0)))[-1]
    assert found.anomaly_map is not None
    row, column = divmod(int(found.anomaly_map.argmax()), found.anomaly_map.shape[1])
    rows, columns = found.anomaly_map.shape
    assert (row + 0.5) / rows == pytest.approx(50 / 96, abs=0.15)
    assert (column + 0.5) / columns == pytest.approx(44 / 160, abs=0.12)


def test_nothing_is_unusual_while_nothing_moves() -> None:
    still = [Frame("a", i, i / 10, picture(30.0)) for i in range(6)]
    assert [d.score for d in scores(still)[1:]] == [0.0] * 5


def test_a_repeated_picture_keeps_its_score() -> None:
    frames = striped(clip(20.0, 2.0))
    twice = [Frame("a", 2 * f.index + k, f.time_s + 0.05 * k, f.image) for f in frames for k in range(2)]
    found = scores(twice)[2:]
    assert found[0].score > 0
    assert all(a.score == b.score for a, b in zip(found[::2], found[1::2], strict=True))


def test_after_a_long_pause_there_is_nothing_to_compare_with() -> None:
    frames = clip(20.0, 1.0)
    late = [Frame(f.camera, f.index, f.time_s + (10 if f.index > 5 else 0), f.image) for f in frames]
    found = [math.isnan(d.score) for d in scores(late)]
    assert found == [True, *[False] * 5, True, *[False] * 3]


def test_what_a_lesson_knows_as_normal_does_not_count() -> None:
    found = max(scores(striped(clip(20.0, 2.0)))[1:], key=lambda d: d.score)
    assert found.anomaly_map is not None
    everywhere = learned().without(found, np.ones((5, 9), bool))
    assert everywhere.score == 0
    assert not everywhere.reasons
    nowhere = learned().without(found, np.zeros((5, 9), bool))
    assert nowhere.score == found.score


def test_the_weight_is_that_of_the_synthetic_anomalies() -> None:
    assert learned().trust == 1
    assert learned().with_auc(0.75).trust == pytest.approx(0.25)


def test_footage_without_movement_is_refused() -> None:
    still = [Frame("a", i, i / 10, picture(30.0)) for i in range(40)]
    with pytest.raises(UsageError, match="nothing moves"):
        Appearance.fit([still])


def test_a_model_with_more_exemplars_than_it_has_room_for_is_refused() -> None:
    tensors = learned().tensors()
    with pytest.raises(ModelError, match="out of range"):
        Appearance.load(learned().settings(), {**tensors, "counts": tensors["counts"] + 1000}, "cpu")


def test_the_same_footage_gives_the_same_memory() -> None:
    again = Appearance.fit([clip(20.0, 6.0, start) for start in (0.0, 53.0, 90.0)])
    assert all(np.array_equal(again.tensors()[name], tensor) for name, tensor in learned().tensors().items())
