"""The exemplars of each cell, distances to the nearest ones, and the scale of distances."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.detector.motion.motion_settings import MotionSettings
from monitor.errors import UsageError
from monitor.types import FloatArray

_SCALE_QUANTILE = 0.98
_SCALE_PRIOR = 20  # in the scale of each cell, the scale of the whole picture counts as this many samples


class ExemplarMemory:
    """The normal features of many cells, as exemplars (cells, n, d) float32.

    spaced  True: distances count in units of the exemplars' spacing
    """

    def __init__(self, exemplars: FloatArray, neighbours: int, *, spaced: bool = True) -> None:
        self._exemplars, self._neighbours = exemplars, neighbours
        self._squares = np.square(exemplars).sum(axis=2)
        self._spacing = _spacing(exemplars, neighbours) if spaced else None

    def only(self, feature: int) -> ExemplarMemory:
        """A memory that compares only one feature: no distance is greater than with all features."""
        part = copy.copy(self)
        part._exemplars = np.ascontiguousarray(self._exemplars[:, :, feature : feature + 1])
        part._squares = np.square(part._exemplars).sum(axis=2)
        return part

    def distances(self, cells: NDArray[np.intp], features: FloatArray) -> FloatArray:
        """The distance of each of (k, d) features from the normal features of its cell: (k,) float32; cells: k indices.

        It is the mean distance to the nearest exemplars. If they are spaced, it is divided by the square root of the
        spacing of those exemplars: so a cell with varied normal motion tolerates more.
        """
        product = np.matmul(self._exemplars[cells], features[:, :, None])[:, :, 0]
        squares = self._squares[cells] - 2 * product + np.square(features).sum(axis=1)[:, None]
        nearest = np.argpartition(squares, self._neighbours - 1, axis=1)[:, : self._neighbours]
        distance = np.sqrt(np.maximum(np.take_along_axis(squares, nearest, axis=1), 0)).mean(axis=1)
        if self._spacing is None:
            return np.asarray(distance, np.float32)
        spacing = np.take_along_axis(self._spacing[cells], nearest, axis=1).mean(axis=1)
        return np.asarray(distance / np.sqrt(spacing))


def k_centre(samples: FloatArray, count: int) -> NDArray[np.intp]:
    """Greedy k-centre in many cells at once: indices of the (cells, k, d) samples to keep, (cells, count).

    Each one is the farthest from zero and from all chosen before. Rows of zeros are never chosen; the index is -1 if no
    sample is left.
    """
    squares = np.square(samples).sum(axis=2)
    distance = squares.copy()
    rows = np.arange(len(samples))
    chosen = np.full((len(samples), count), -1, np.intp)
    for step in range(min(count, samples.shape[1])):
        farthest = distance.argmax(axis=1)
        left = distance[rows, farthest] > 1e-6 * (1 + squares[rows, farthest])  # ignore rounding errors
        if not left.any():
            break
        chosen[left, step] = farthest[left]
        centre = samples[rows, farthest]
        product = np.matmul(samples, centre[:, :, None])[:, :, 0]
        distance = np.minimum(distance, squares - 2 * product + squares[rows, farthest, None])
    return chosen


def chosen_exemplars(
    settings: MotionSettings,
    features: FloatArray,
    terms: FloatArray,
    active: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Compute ``exemplars`` and ``usual`` of the constructor of ``Motion`` from some frames.

    features  (frames, rows, columns, 16), divided by their deviation
    terms     (frames, rows, columns, 12)
    active    (frames, rows, columns)
    """
    rows, columns = settings.cells
    samples = np.zeros((rows, columns, settings.samples, FEATURES), np.float32)
    usual = np.zeros((rows, columns, len(TERMS)), np.float16)
    for row, column in np.ndindex(rows, columns):
        near = np.s_[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        where = np.argwhere(active[near])
        if len(where):
            some = where[rng.choice(len(where), min(len(where), settings.samples), replace=False)]
            frame, down, right = some.T
            samples[row, column, : len(some)] = features[near][frame, down, right]
            usual[row, column] = np.quantile(terms[near][frame, down, right], 0.99, axis=0)
    by_cell = samples.reshape(rows * columns, settings.samples, FEATURES)
    chosen = k_centre(by_cell, settings.exemplars - 1)
    found = np.take_along_axis(by_cell, np.maximum(chosen, 0)[:, :, None], axis=1) * (chosen >= 0)[:, :, None]
    exemplars = np.zeros((rows * columns, settings.exemplars, FEATURES), np.float16)  # zero: nothing moves
    exemplars[:, 1:] = found
    return exemplars.reshape(rows, columns, settings.exemplars, FEATURES), usual


def cell_scale(distances: Sequence[FloatArray], at: float = _SCALE_QUANTILE) -> FloatArray:
    """The scale of each cell, (cells,) float32, from the distances of held-out normal footage: one (n,) per cell.

    It is their quantile ``at``.

    Cells with few own samples use mostly the scale of the whole picture. Raises UsageError if nothing moves at all.
    """
    everywhere = np.concatenate(distances)
    if not len(everywhere):
        raise UsageError("nothing moves in the normal footage for motion; give footage with its usual traffic")
    whole = np.quantile(everywhere, at)
    scale = np.full(len(distances), whole, np.float32)
    for cell, own in enumerate(distances):
        if len(own):
            quantile = np.quantile(own, at)
            scale[cell] = (len(own) * quantile + _SCALE_PRIOR * whole) / (len(own) + _SCALE_PRIOR)
    return scale


def _spacing(exemplars: FloatArray, neighbours: int) -> FloatArray:
    """Mean distance of each exemplar to its nearest others, (cells, n); at least half of the median."""
    spacing = np.empty(exemplars.shape[:2], np.float32)
    for cell, points in enumerate(exemplars):
        squares = np.square(points).sum(axis=1)
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
        np.fill_diagonal(distances, np.inf)
        spacing[cell] = np.partition(distances, neighbours - 1, axis=1)[:, :neighbours].mean(axis=1)
    positive = spacing[spacing > 1e-3]
    return np.maximum(spacing, 0.5 * np.median(positive) if len(positive) else 1.0).astype(np.float32)
