"""Pictures that people judged normal count as learned, at the places of the event."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.detector.lessons import Lesson
from monitor.detector.scene.patches import Patches
from monitor.detector.scene.picture_memory import Pictures
from monitor.detector.scene.scene_states import States, colour_differences
from monitor.detector.scene.taught_pictures import MOST_PICTURES, TaughtPictures
from monitor.stream.regimes import COLUMNS, ROWS
from monitor.types import FloatArray, Traits

RNG = np.random.default_rng(0)
USUAL = RNG.uniform(60, 180, (40, ROWS, COLUMNS, 3)).astype(np.float32)


def chair(row: int = 3, column: int = 5) -> FloatArray:
    """A usual picture with something black in one block."""
    picture: FloatArray = USUAL[0].copy()
    picture[row, column] = 0
    return np.asarray(picture, np.float32)


def kept(picture: FloatArray, places: FloatArray) -> Traits:
    return {"regime": np.zeros(1, np.uint8), "picture": picture.astype(np.float16), "places": places.astype(np.float16)}


def states() -> States:
    return States.learn(colour_differences(USUAL), np.arange(40.0), 40)[0]


def test_a_place_is_known_where_the_event_was_and_nowhere_else() -> None:
    memory = states()
    learned = memory.compare(colour_differences(chair()))[0]
    assert learned[3, 5] > 1
    taught = TaughtPictures([Lesson(({"scene": kept(chair(), learned)},))])
    assert taught.places(memory, chair(), None, learned, None)[3, 5] < 0.1
    moved = memory.compare(colour_differences(chair(6, 12)))[0]
    assert taught.places(memory, chair(6, 12), None, moved, None)[6, 12] == moved[6, 12]
    away = TaughtPictures([Lesson(({"scene": kept(chair(), learned)},), hours=(9.0, 10.0))])
    assert away.places(memory, chair(), None, learned, 20.0)[3, 5] == learned[3, 5]


def test_whole_pictures_are_known_as_a_whole() -> None:
    memory = Pictures(USUAL.astype(np.float16), 100.0)
    taught = TaughtPictures([Lesson(({"scene": kept(chair(), np.zeros((ROWS, COLUMNS), np.float32))},) * 20)])
    assert taught.whole(memory, chair(), None) == pytest.approx(0.0, abs=0.01)
    assert taught.whole(memory, USUAL[1], None) > 1
    assert len(taught._known) == MOST_PICTURES
    assert not TaughtPictures([Lesson(({"motion": {}},))])


def test_textures_are_compared_if_they_have_the_same_size() -> None:
    greys = RNG.integers(0, 255, (16, 16, 32), dtype=np.uint8)
    memory = Patches.learn(np.repeat(greys, 2, axis=0))
    odd = greys[0].copy()
    odd[4:8, 8:12] = RNG.integers(0, 255, (4, 4))
    learned = memory.compare(odd)
    traits = {**kept(chair(), learned), "patch": odd}
    taught = TaughtPictures([Lesson(({"scene": traits},), everywhere=True)])
    assert float(taught.places(memory, chair(), odd, learned, None).max()) < 1e-3
    other = {**traits, "patch": odd[:8]}
    assert TaughtPictures([Lesson(({"scene": other},))]).places(memory, chair(), odd, learned, None) is learned
