"""Things cut out of one street and pasted into another picture: where they are, and that they are found."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.lib.pasted import Paste, Pasted, Thing, cut_things, draw
from benchmarks.lib.recall import LEFT, MOVING, Attempt, Recall, random_paste
from monitor.errors import UsageError
from monitor.sources.finding import open_sources


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dark block that moves over a striped ground, 40 frames; the last 20 show it twice each."""
    folder = tmp_path_factory.mktemp("street")
    ground = np.full((120, 200, 3), 150, np.uint8)
    ground[:, ::20] = 120
    for k in range(60):
        frame = ground.copy()
        step = k if k < 40 else 40 + (k - 40) // 2 * 2
        frame[40:80, 10 + 2 * step : 40 + 2 * step] = (20, 30, 90)
        cv2.imwrite(str(folder / f"{k:05d}.png"), frame)
    return folder


def test_what_moves_alone_is_cut_out(street: Path) -> None:
    things = cut_things([street])
    assert things
    for thing in things:
        inside = thing.masks > 0.9
        assert 0.8 * 30 * 40 < inside[0].sum() < 1.2 * 30 * 40
        assert np.abs(thing.pixels[inside].astype(int) - (20, 30, 90)).mean() < 8


def test_nothing_that_moves_is_an_error_that_says_what_to_give(tmp_path: Path) -> None:
    for k in range(20):
        cv2.imwrite(str(tmp_path / f"{k:05d}.png"), np.full((64, 64, 3), 90, np.uint8))
    with pytest.raises(UsageError, match="give others of a fixed camera"):
        cut_things([tmp_path])


@pytest.mark.parametrize("age_s", [1.0, 2.0, 4.0])
def test_a_thing_is_where_its_speed_has_brought_it(age_s: float) -> None:
    thing = Thing(np.full((2, 20, 10, 3), 10, np.uint8), np.ones((2, 20, 10), np.float32), 100.0, 0.1)
    picture = np.full((100, 200, 3), 100, np.uint8)
    shown = draw(picture, thing, Paste(0.0, 10.0, 0.4, (0.0, 0.9), 0.2), age_s)
    rows, columns = np.nonzero(np.abs(shown[..., 0].astype(int) - 100) > 40)
    assert columns.mean() == pytest.approx(0.2 * age_s * 200, abs=2)
    assert rows.max() == pytest.approx(90, abs=3)
    assert np.ptp(rows) == pytest.approx(40, abs=4)


def test_before_and_after_its_time_the_picture_is_as_it_was() -> None:
    thing = Thing(np.zeros((2, 20, 10, 3), np.uint8), np.ones((2, 20, 10), np.float32), 100.0, 0.1)
    picture = np.full((100, 200, 3), 100, np.uint8)
    for age_s in (-0.1, 5.1):
        assert draw(picture, thing, Paste(3.0, 5.0, 0.4, (0.5, 0.9), 0.0), age_s) is picture


def test_in_infrared_it_is_grey() -> None:
    thing = Thing(np.full((2, 20, 10, 3), (0, 0, 200), np.uint8), np.ones((2, 20, 10), np.float32), 100.0, 0.1)
    shown = draw(np.full((100, 200, 3), 100, np.uint8), thing, Paste(0.0, 5.0, 0.4, (0.5, 0.9), 0.0), 1.0)
    assert np.ptp(shown, axis=2).max() == 0


def test_repeated_frames_stay_repeated(street: Path) -> None:
    thing = cut_things([street])[0]
    source = Pasted(open_sources([str(street)], fps=10.0)[0], thing, Paste(0.0, 10.0, 0.5, (0.0, 0.95), 0.1))
    frames = []
    with source.open() as reader:
        while reader.grab() is not None:
            picture = reader.retrieve()
            assert picture is not None
            frames.append(picture)
    same = [np.array_equal(a, b) for a, b in itertools.pairwise(frames)]
    assert not any(same[:39])
    assert same[40:59:2] == [True] * 10


@pytest.mark.parametrize("kind", [MOVING, LEFT])
def test_a_random_paste_is_seen(kind: str) -> None:
    rng = np.random.default_rng(0)
    thing = Thing(np.zeros((2, 20, 10, 3), np.uint8), np.ones((2, 20, 10), np.float32), 100.0, 0.1)
    picture = np.full((90, 160, 3), 180, np.uint8)
    for _ in range(20):
        paste = random_paste(kind, 60.0, rng)
        assert (draw(picture, thing, paste, paste.shown_s / 2) != picture).any()


def test_recall_counts_its_own_kind_and_gives_the_median_delay() -> None:
    paste = Paste(0.0, 1.0, 0.3, (0.5, 0.5), 0.0)
    tried = [Attempt(MOVING, "a", paste, delay, "motion", 1.0) for delay in (1.0, None, 3.0, 2.0)]
    tried.append(Attempt(LEFT, "a", paste, None, "", 0.2))
    assert Recall.of(MOVING, tried) == Recall(MOVING, 3, 4, 2.0)
    assert str(Recall.of(LEFT, tried)) == "left behind 0 of 1"
