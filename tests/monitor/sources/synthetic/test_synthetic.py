"""The synthetic street: reproducible pictures and labels that match them."""

from itertools import pairwise

import numpy as np
import pytest

from monitor.errors import SourceError
from monitor.sources.synthetic.perspective import HEIGHT, WIDTH
from monitor.sources.synthetic.script import KINDS
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene


def test_a_frame_is_the_same_however_it_was_reached() -> None:
    with SyntheticScene(seed=3, duration_s=1.0).open() as reader:
        for _ in range(11):
            position = reader.grab()
        by_reading = reader.retrieve()
    assert position is not None
    assert (position.index, position.time_s) == (10, 10 / FPS)
    assert by_reading is not None
    np.testing.assert_array_equal(by_reading, SyntheticScene(seed=3, duration_s=1.0).render(10))


def test_frames_are_colour_pictures_that_differ_by_time_and_seed() -> None:
    scene = SyntheticScene(seed=3)
    picture = scene.render(100)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8
    assert (picture != scene.render(101)).mean() > 0.3, "the sensor's noise is new in each frame"
    assert (picture != SyntheticScene(seed=4).render(100)).mean() > 0.3


def test_the_reader_ends_with_the_duration() -> None:
    with SyntheticScene(duration_s=0.2).open() as reader:
        positions = [reader.grab() for _ in range(7)]
    assert [position.index for position in positions if position is not None] == [0, 1, 2, 3, 4]
    assert positions[5:] == [None, None]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_demo_shows_every_kind_once_with_normal_stretches_between(seed: int) -> None:
    truth = SyntheticScene(seed=seed).truth
    assert sorted(episode.kind for episode in truth) == sorted(KINDS)
    assert 11 < truth[0].started_s < 14
    assert truth[-1].ended_s < 88
    for before, after in pairwise(truth):
        assert after.started_s - before.ended_s >= 6


def test_normal_and_abnormal_scenes_differ_exactly_during_the_moving_episodes() -> None:
    demo, normal = SyntheticScene(seed=7), SyntheticScene(seed=7, abnormal=False)
    assert normal.truth == ()
    for episode in demo.truth[:4]:
        middle = round((episode.started_s + episode.ended_s) / 2 * FPS)
        assert (demo.render(middle) != normal.render(middle)).any(), episode
        for outside in (episode.started_s - 0.5, episode.ended_s + 0.5):
            index = round(outside * FPS)
            np.testing.assert_array_equal(demo.render(index), normal.render(index))


def test_an_episode_that_does_not_fit_into_the_duration_is_neither_shown_nor_true() -> None:
    short = SyntheticScene(seed=7, duration_s=30.0)
    assert [episode.kind for episode in short.truth] == ["runner", "bicycle"]
    long = SyntheticScene(seed=7, duration_s=180.0)
    assert len(long.truth) == 10


@pytest.mark.parametrize(("duration_s", "seed"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (float("inf"), 1), (9.0, -1)])
def test_an_impossible_scene_is_refused(duration_s: float, seed: int) -> None:
    with pytest.raises(SourceError, match="synthetic scene"):
        SyntheticScene(duration_s=duration_s, seed=seed)
