"""Motion that people judged normal: at its place, at its hour, and no faster or larger than it was."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.lessons import Lesson
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.motion.taught_cells import MOST_ROWS, TaughtCells
from monitor.types import Detection, Frame, Traits
from tests.helpers.gliding import clip

GRID = (10, 20)
UNIT = np.ones((GRID[0] * GRID[1], FEATURES), np.float32)


def traits(cells: Sequence[int], level: float = 1.0) -> Traits:
    count = len(cells)
    return {
        "grid": np.array(GRID, np.int16),
        "cells": np.array(cells, np.int16),
        "features": np.full((count, FEATURES), level, np.float16),
        "terms": np.full((count, len(TERMS)), level, np.float16),
        "only_area": np.zeros(1, np.uint8),
    }


def lesson(*samples: Traits, everywhere: bool = False, hours: tuple[float, float] | None = None) -> Lesson:
    return Lesson(tuple({"motion": each} for each in samples), everywhere, hours)


def distances(known: TaughtCells, cells: Sequence[int], level: float = 1.0, hour: float | None = None) -> list[float]:
    features = np.full((len(cells), FEATURES), level, np.float32)
    return [float(each) for each in known.nearest(np.array(cells), features, hour)[0]]


def test_a_lesson_holds_at_its_cells_and_beside_them() -> None:
    known = TaughtCells([lesson(traits([45]))], GRID, UNIT)
    assert distances(known, [45, 46, 24, 66, 47, 199]) == [0.0, 0.0, 0.0, 0.0, math.inf, math.inf]
    assert distances(known, [45], level=2.0) == [pytest.approx(math.sqrt(FEATURES))]
    assert distances(TaughtCells([lesson(traits([45]), everywhere=True)], GRID, UNIT), [0, 199]) == [0.0, 0.0]


def test_a_lesson_holds_at_its_hour() -> None:
    known = TaughtCells([lesson(traits([45]), hours=(9.0, 11.0)), lesson(traits([45], 3.0))], GRID, UNIT)
    assert distances(known, [45], hour=10.0) == [0.0]
    assert distances(known, [45], hour=12.0)[0] > 5


def test_the_terms_are_those_of_the_nearest_example() -> None:
    known = TaughtCells([lesson(traits([45], 1.0), traits([45], 4.0))], GRID, UNIT)
    found = known.nearest(np.array([45]), np.full((1, FEATURES), 3.9, np.float32), None)[1]
    assert found.tolist() == [[4.0] * len(TERMS)]


def test_cells_of_another_picture_shape_teach_nothing_and_a_long_event_is_thinned() -> None:
    other = {**traits([45]), "grid": np.array((5, 5), np.int16)}
    assert len(TaughtCells([lesson(other)], GRID, UNIT).features) == 0
    many = TaughtCells([lesson(*[traits(range(100))] * 100)], GRID, UNIT)
    assert MOST_ROWS // 2 < len(many.features) <= MOST_ROWS


@pytest.fixture(scope="module")
def motion() -> Motion:
    return Motion.fit([clip(30, 6, start, row=row) for row in (10, 40, 70) for start in (0, 70)])


def highest(detector: Motion, frames: list[Frame]) -> tuple[float, list[Detection]]:
    """The median of the scores of a clip, and what was said about its frames."""
    stream = detector.new_stream()
    found = [detector.score([Observation(frame, stream)])[0] for frame in frames]
    return float(np.nanmedian([each.score for each in found])), found


def test_one_verdict_makes_the_same_motion_normal_there_but_nothing_faster_or_elsewhere(motion: Motion) -> None:
    before, found = highest(motion, clip(80, 3, row=40))
    told = tuple({"motion": each.traits} for each in found if each.traits is not None)
    assert len(told) > 10
    taught = motion.taught([Lesson(told)])
    usual = highest(motion, clip(30, 3, row=40))[0]
    again, known = highest(taught, clip(80, 3, start=3, row=40))
    assert before > 2 * usual
    assert again < 0.6 * before
    assert any(each.excused is not None for each in known)
    assert highest(taught, clip(30, 3, row=40))[0] == pytest.approx(usual, rel=0.05)
    assert highest(taught, clip(160, 2, row=40))[0] > 1.5 * again
    elsewhere = highest(motion, clip(80, 3, row=8))[0]
    assert highest(taught, clip(80, 3, row=8))[0] > 0.8 * elsewhere
    everywhere = motion.taught([Lesson(told, everywhere=True)])
    assert highest(everywhere, clip(80, 3, row=8))[0] < 0.7 * elsewhere
    assert taught.origin is motion
    assert taught.taught([]) is motion


def test_what_is_kept_of_a_frame_can_be_judged_again(motion: Motion) -> None:
    _, found = highest(motion, clip(80, 2, row=40))
    kept = [each for each in found if each.traits is not None]
    for each in kept:
        assert each.traits is not None
        assert motion.again(each.score, each.traits, None)[0] == pytest.approx(each.score, rel=0.02)
    taught = motion.taught([Lesson(tuple({"motion": each.traits} for each in kept if each.traits is not None))])
    last = kept[-1]
    assert last.traits is not None
    score, excused = taught.again(last.score, last.traits, None)
    assert score < 0.6 * last.score
    assert excused is not None
    assert excused.any()
