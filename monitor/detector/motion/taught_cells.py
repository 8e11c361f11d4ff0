"""The motion in cells that people judged normal: the nearest of it, at its place and time of day."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.detector.lessons import Lesson
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.types import FloatArray, Traits

MOST_ROWS = 4000
"""Cells of an event that are compared, evenly spread over it."""
_NEAR = 1  # a verdict about a place holds for cells that are this near


class TaughtCells:
    """Features and terms of the cells of events that were judged normal.

    lessons  those of one camera
    grid     (rows, columns) of cells
    units    (cells, 16) float32, the unit of each feature at each cell
    """

    def __init__(self, lessons: Sequence[Lesson], grid: tuple[int, int], units: FloatArray) -> None:
        self._lessons = list(lessons)
        cells, features, terms, owner = [], [], [], []
        for number, lesson in enumerate(self._lessons):
            for traits in _thinned([t for t in lesson.of("motion") if tuple(t["grid"].tolist()) == grid]):
                cells.append(traits["cells"].astype(np.intp))
                features.append(traits["features"].astype(np.float32) / units[traits["cells"].astype(np.intp)])
                terms.append(traits["terms"].astype(np.float32))
                owner.append(np.full(len(traits["cells"]), number))
        self.features = np.concatenate(features) if features else np.zeros((0, FEATURES), np.float32)
        self._terms = np.concatenate(terms) if terms else np.zeros((0, len(TERMS)), np.float32)
        self._owner = np.concatenate(owner) if owner else np.zeros(0, np.intp)
        own_cells = np.concatenate(cells) if cells else np.zeros(0, np.intp)
        everywhere = np.array([lesson.everywhere for lesson in self._lessons], bool)
        self._anywhere = np.flatnonzero(everywhere[self._owner]) if len(everywhere) else np.zeros(0, np.intp)
        self._at: dict[int, list[int]] = {}
        rows, columns = grid
        for row in np.setdiff1d(np.arange(len(own_cells)), self._anywhere).tolist():
            down, right = divmod(int(own_cells[row]), columns)
            for r in range(max(down - _NEAR, 0), min(down + _NEAR + 1, rows)):
                for c in range(max(right - _NEAR, 0), min(right + _NEAR + 1, columns)):
                    self._at.setdefault(r * columns + c, []).append(row)

    def nearest(
        self, cells: NDArray[np.integer], features: FloatArray, hour: float | None, *, only: int | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """For each cell the distance to the nearest that was taught there, (k,), and the terms of it, (k, 12).

        cells     (k,) their numbers
        features  (k, 16), divided by their units
        hour      time of day, see Lesson.holds_at
        only      compare only this feature

        The distance is infinite, and the terms are zero, where nothing was taught.
        """
        distance = np.full(len(cells), math.inf, np.float32)
        terms = np.zeros((len(cells), len(TERMS)), np.float32)
        holds = np.array([lesson.holds_at(hour) for lesson in self._lessons], bool)
        for i, cell in enumerate(cells.tolist()):
            rows = np.concatenate([self._anywhere, np.array(self._at.get(cell, []), np.intp)])
            rows = rows[holds[self._owner[rows]]]
            if not len(rows):
                continue
            difference = self.features[rows] - features[i]
            if only is not None:
                difference = difference[:, only : only + 1]
            squares = np.square(difference).sum(axis=1)
            best = int(squares.argmin())
            distance[i], terms[i] = math.sqrt(float(squares[best])), self._terms[rows[best]]
        return distance, terms


def _thinned(samples: list[Traits]) -> list[Traits]:
    """Fewer samples, evenly spread, if all together have too many cells."""
    count = sum(len(sample["cells"]) for sample in samples)
    if count <= MOST_ROWS or len(samples) < 2:
        return samples
    kept = max(1, len(samples) * MOST_ROWS // count)
    return [samples[i] for i in np.linspace(0, len(samples) - 1, kept).astype(int)]
