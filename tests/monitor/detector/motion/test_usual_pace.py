"""Speeds in units of what is usual in their row."""

import numpy as np
import pytest

from monitor.detector.motion.cells import FEATURES, SPEED, TERMS
from monitor.detector.motion.usual_pace import feature_factors, neighbours_mean, term_factors, usual_pace


def test_the_usual_speeds_of_rows_give_a_line() -> None:
    rng = np.random.default_rng(0)
    terms = np.zeros((200, 6, 4, len(TERMS)), np.float32)
    terms[..., SPEED] = (2 + np.arange(6))[None, :, None] * rng.uniform(0.5, 1, (200, 6, 4))
    pace = usual_pace(terms, np.ones((200, 6, 4), bool))
    assert pace / pace[0] == pytest.approx((2 + np.arange(6)) / 2, rel=0.05)
    assert pace.mean() == pytest.approx(1, abs=0.05)


def test_rows_in_which_little_moves_follow_the_line_of_the_others() -> None:
    terms = np.zeros((200, 6, 4, len(TERMS)), np.float32)
    terms[..., SPEED] = 2.0 + np.arange(6)[None, :, None]
    active = np.ones((200, 6, 4), bool)
    active[:, 5], terms[:, 5] = False, 0
    active[0, 5, 0], terms[0, 5, 0, SPEED] = True, 500
    pace = usual_pace(terms, active)
    assert pace[5] / pace[4] == pytest.approx(7 / 6, rel=0.02)


@pytest.mark.parametrize("rows", [0, 2])
def test_too_few_rows_give_no_perspective(rows: int) -> None:
    active = np.zeros((200, 6, 4), bool)
    active[:, :rows] = True
    assert usual_pace(np.ones((200, 6, 4, len(TERMS)), np.float32), active).tolist() == [1.0] * 6


def test_a_line_that_crosses_zero_stays_above_a_quarter() -> None:
    terms = np.zeros((200, 6, 4, len(TERMS)), np.float32)
    terms[..., SPEED] = np.array([0, 0, 0, 0, 5, 20])[None, :, None]
    pace = usual_pace(terms, np.ones((200, 6, 4), bool))
    assert pace.min() == pytest.approx(0.25)


def test_only_what_is_a_speed_is_divided() -> None:
    assert feature_factors(np.array([4.0], np.float32)).tolist() == [[2.0] * 8 + [4.0] * 5 + [1.0] * (FEATURES - 13)]
    factors = term_factors(np.array([4.0], np.float32))[0]
    assert {name for name, factor in zip(TERMS, factors, strict=True) if factor != 1} == {"speed", "lasting speed"}


def test_a_single_cell_counts_for_a_quarter_of_its_neighbours() -> None:
    cells = np.zeros((3, 4), np.float32)
    cells[1, 1] = 8
    assert neighbours_mean(cells).tolist() == [[2, 2, 0], [2, 2, 0]]
    assert neighbours_mean(np.ones((1, 3), np.float32)).shape == (1, 3)
