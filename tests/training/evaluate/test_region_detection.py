from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.types import FloatArray
from training.evaluate.region_detection import RegionDetection

SHAPE = (96, 160)


def masked(*boxes: tuple[int, int, int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros(SHAPE, np.bool_)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def shown(*boxes: tuple[int, int, int, int, float]) -> FloatArray:
    found = np.zeros(SHAPE, np.float32)
    for top, left, bottom, right, score in boxes:
        found[top:bottom, left:right] = score
    return found


def test_regions_that_are_all_found_and_nothing_else_give_one() -> None:
    counted = RegionDetection()
    for _ in range(5):
        counted.add(shown((10, 10, 40, 40, 2.0), (60, 100, 80, 130, 3.0)), masked((12, 12, 40, 40), (60, 100, 82, 130)))
        counted.add(shown(), masked())
    assert counted.regions == 10
    assert counted.area() == pytest.approx(1.0)


def test_one_of_two_found_gives_half_and_a_slight_overlap_finds_nothing() -> None:
    counted = RegionDetection()
    counted.add(shown((10, 10, 40, 40, 2.0)), masked((12, 12, 40, 40), (60, 100, 82, 130)))
    assert counted.area() == pytest.approx(0.5)
    beside = RegionDetection()
    beside.add(shown((10, 10, 40, 40, 2.0)), masked((38, 38, 68, 68)))
    assert beside.area() == 0.0


def test_false_regions_that_score_higher_cost_and_lower_ones_do_not() -> None:
    def area(false_score: float) -> float:
        counted = RegionDetection()
        for number in range(4):
            truth = masked((10, 10, 40, 40))
            found = (10, 10, 40, 40, 2.0)
            counted.add(shown(found, (60, 100, 80, 130, false_score) if number % 2 else (0, 0, 0, 0, 0.0)), truth)
        return counted.area()

    assert area(0.5) == pytest.approx(1.0)
    assert area(9.0) == pytest.approx(0.5)  # nothing is found before half a false region per frame is shown


def test_parts_add_up_and_nothing_abnormal_has_no_figure() -> None:
    nothing = RegionDetection()
    nothing.add(shown((10, 10, 40, 40, 2.0)), masked())
    assert math.isnan(nothing.area())
    some = RegionDetection()
    some.add(None, masked((12, 12, 40, 40)))
    some.merge(nothing)
    assert some.area() == 0.0
    assert some.regions == 1
