"""Perspective: what is far from the camera moves fewer pixels per second than the same thing near it.

The usual speed of a row of cells is nearly a straight line over the rows. So a line is fitted to it, and speeds are
compared in units of that line. Then a walker near the camera is not taken for a runner far from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detector.frontend import BINS
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.types import FloatArray

_USUAL = 0.9  # quantile of the speeds in a row: its usual speed
_LEAST_CELLS, _LEAST_ROWS = 50, 3  # fewer active cells say nothing about a row, fewer rows nothing about a line
_LEAST = 0.25  # lowest value of the line, as a share of its mean: a line may cross zero above the horizon
_SPEED_FEATURES = slice(BINS, BINS + 5)
_SPEED_TERMS = [TERMS.index("speed"), TERMS.index("lasting speed")]


def usual_pace(terms: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    """How fast things usually are in each row of cells, relative to the whole picture: (rows,) float32, about 1.

    terms   (frames, rows, columns, 12), see cells.TERMS
    active  (frames, rows, columns)

    1 everywhere if too few rows have movement.
    """
    rows = active.shape[1]
    speeds = [terms[:, row][active[:, row]][:, _SPEED_TERMS[0]] for row in range(rows)]
    known = np.array([row for row, own in enumerate(speeds) if len(own) >= _LEAST_CELLS])
    if len(known) < _LEAST_ROWS:
        return np.ones(rows, np.float32)
    usual = np.array([np.quantile(speeds[row], _USUAL) for row in known])
    count = np.array([len(speeds[row]) for row in known])
    mean = float(np.average(usual, weights=count))
    if mean <= 0:
        return np.ones(rows, np.float32)
    slope, level = np.polyfit(known, usual, 1, w=np.sqrt(count))
    line = np.maximum(slope * np.arange(rows) + level, _LEAST * mean) / mean
    return np.asarray(line, np.float32)


def feature_factors(pace: FloatArray) -> FloatArray:
    """What features are divided by, (n, 16) float32, at cells with this usual pace (n,)."""
    factors = np.ones((len(pace), FEATURES), np.float32)
    factors[:, :BINS] = np.sqrt(pace)[:, None]  # they are roots of sums of speeds
    factors[:, _SPEED_FEATURES] = pace[:, None]
    return factors


def term_factors(pace: FloatArray) -> FloatArray:
    """What terms are divided by, (n, 12) float32, at cells with this usual pace (n,)."""
    factors = np.ones((len(pace), len(TERMS)), np.float32)
    factors[:, _SPEED_TERMS] = pace[:, None]
    return factors


def neighbours_mean(cells: FloatArray) -> FloatArray:
    """The mean of each 2x2 neighbouring cells: (rows - 1, columns - 1) float32, of cells (rows, columns).

    A grid with one row or column is returned as it is.
    """
    if min(cells.shape) < 2:
        return cells
    rows = cells[:-1] + cells[1:]
    return np.asarray((rows[:, :-1] + rows[:, 1:]) / np.float32(4), np.float32)
