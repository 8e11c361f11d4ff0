from __future__ import annotations

import numpy as np
import pytest

from training.evaluate.localisation import HitRate, Hits, change_map, dilated, peak


def spot(rows: int, columns: int, row: int, column: int) -> np.ndarray:
    found = np.zeros((rows, columns), np.float32)
    found[row, column] = 1
    return found


def test_peak_is_given_in_parts_of_the_picture_whatever_the_map_s_size() -> None:
    assert peak(spot(4, 8, 1, 6)) == pytest.approx((1.5 / 4, 6.5 / 8))
    assert peak(np.ones((4, 8), np.float32)) is None


def test_peak_inside_the_mask_of_another_size_is_a_hit() -> None:
    mask = np.zeros((120, 240), np.bool_)
    mask[30:60, 180:210] = True
    hits = Hits()
    hits.add("in", spot(4, 8, 1, 6), mask)
    hits.add("out", spot(4, 8, 2, 6), mask)
    hits.add("flat", np.zeros((4, 8), np.float32), mask)
    hits.add("none", None, mask)
    assert hits.rates() == {"in": HitRate(1.0, 1), "out": HitRate(0.0, 1), "flat": HitRate(0.0, 1)}


def test_frame_without_a_map_of_a_detector_that_has_some_counts_as_missed() -> None:
    mask = np.ones((12, 24), np.bool_)
    first, second = Hits(), Hits()
    first.add("a", None, mask)
    second.add("a", spot(4, 8, 1, 6), mask)
    first.merge(second)
    assert first.rates() == {"a": HitRate(0.5, 2)}


def test_mask_grows_by_a_thirtieth_of_the_width() -> None:
    mask = np.zeros((100, 240), np.bool_)
    mask[50, 100] = True
    grown = dilated(mask)
    assert grown[50, 92:109].all()
    assert not grown[50, [91, 109]].any()
    assert not grown[41].any()


def test_one_noisy_pixel_is_not_the_peak_of_the_frame_difference() -> None:
    change = np.zeros((120, 240), np.uint8)
    change[20, 20] = 255
    change[60:90, 100:130] = 60
    at = peak(change_map(change))
    assert at is not None
    assert 60 <= at[0] * 120 < 90
    assert 100 <= at[1] * 240 < 130
