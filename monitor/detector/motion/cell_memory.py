"""What is known of the movement at each place, by day and by infrared light: it becomes a ``Motion``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.detector.coverage import Coverage
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.detector.motion.exemplars import cell_scale
from monitor.detector.motion.motion_detector import Motion
from monitor.types import FloatArray

EXEMPLARS, NEIGHBOURS = 128, 3
"""Exemplars of each cell. The radius adapts to their number; twice as many change no figure."""
_USUAL = 0.99
_SCALE_QUANTILE = 0.9
"""Places differ in how much they vary: the scale of a place must not follow the most unusual that happened there."""
_LEAST_S = 3600.0
"""Seconds by day and by infrared light from which each has exemplars of its own."""


class ActiveCells(Protocol):
    """The active cells of consecutive frames, n in all.

    block     number of the block of time that they belong to
    cells     (n,) int16; those of infrared pictures are counted on
    features  (n, 16) float16, divided by their deviation
    terms     (n, 12) float16
    """

    @property
    def block(self) -> int: ...  # noqa: D102 - see the class
    @property
    def cells(self) -> NDArray[np.int16]: ...  # noqa: D102
    @property
    def features(self) -> NDArray[np.float16]: ...  # noqa: D102
    @property
    def terms(self) -> NDArray[np.float16]: ...  # noqa: D102


class CellMemory:
    """Exemplars of the movement in each cell.

    base      motion learned from a sample of the same footage: its background and its units are used
    most      exemplars of each cell
    coverage  the exemplars; cells of infrared pictures come last
    cells     number of cells of a picture
    """

    def __init__(self, base: Motion, most: int = EXEMPLARS - 1) -> None:
        self._base = base
        rows, columns = base.grid
        self.cells = rows * columns
        self._near = [
            [
                part * rows * columns + near_row * columns + near_column
                for near_row in range(max(row - 1, 0), min(row + 2, rows))
                for near_column in range(max(column - 1, 0), min(column + 2, columns))
            ]
            for part in range(2)
            for row, column in np.ndindex(rows, columns)
        ]
        # One row less than there are exemplars: the last one is zero, which says that nothing moves.
        self.coverage = Coverage(2 * rows * columns, most, FEATURES)

    def cover(self, cells: NDArray[np.int16], features: FloatArray, block: int) -> None:
        """Learn from active cells (n,), with their features (n, 16), in order of time. Neighbours learn from each."""
        groups = by_cell(cells)
        for cell, near in enumerate(self._near):
            known = [groups[other] for other in near if other in groups]
            if known:
                self.coverage.add(cell, features[np.sort(np.concatenate(known))], block)

    def build(
        self,
        pieces: Sequence[ActiveCells],
        seen_s: Sequence[float],
        normal: Sequence[NDArray[np.bool_]] | None = None,
    ) -> tuple[Motion, list[FloatArray]]:
        """The detector, and each piece's distances (n,) to what other blocks of time know, not divided by the scale.

        pieces  held-out cells, at least one: scales and usual values come from them
        seen_s  seconds that were seen by day and by infrared light
        normal  (n,) of each piece: which cells count for scales and usual values; None for all

        The pieces' cells must be those of ``cells_of``.
        """
        infrared = min(seen_s) >= _LEAST_S
        points, only_of = self.coverage.points, self.coverage.only_of
        held = [self.cells_of(piece.cells, seen_s) for piece in pieces]
        if not infrared:
            joined = self.coverage.halves_joined(first=int(seen_s[1] > seen_s[0]))
            points, only_of = joined.points, joined.only_of
        distances = [
            nearest(points, cells, piece.features.astype(np.float32), only_of(piece.block))
            for cells, piece in zip(held, pieces, strict=True)
        ]
        counts = np.s_[:] if normal is None else np.concatenate(normal)
        found = np.concatenate(distances)[counts]
        terms = np.concatenate([piece.terms for piece in pieces])[counts]
        groups = by_cell(np.concatenate(held)[counts])
        usual = np.zeros((len(points), len(TERMS)), np.float16)
        for cell, near in enumerate(self._near[: len(points)]):
            known = [groups[other] for other in near if other in groups]
            if known:
                usual[cell] = np.quantile(terms[np.concatenate(known)].astype(np.float32), _USUAL, axis=0)
        exemplars = np.zeros((len(points), EXEMPLARS, FEATURES), np.float16)
        exemplars[:, : points.shape[1]] = points
        rows, columns = self._base.grid
        rows *= 2 if infrared else 1
        motion = self._base.covering(
            exemplars.reshape(rows, columns, EXEMPLARS, FEATURES),
            self._scale(found, groups, len(points)).reshape(rows, columns),
            usual.reshape(rows, columns, len(TERMS)),
            infrared=infrared,
        )
        return motion, distances

    def cells_of(self, cells: NDArray[np.int16], seen_s: Sequence[float]) -> NDArray[np.int16]:
        """The cells of the detector that ``build`` gives: infrared ones are apart only if enough was seen."""
        return cells if min(seen_s) >= _LEAST_S else cells % np.int16(self.cells)

    def _scale(self, found: FloatArray, groups: Mapping[int, NDArray[np.intp]], cells: int) -> FloatArray:
        """The scale of each cell, (cells,) float32. By day and by infrared light it is learned separately."""
        scales = []
        for first in range(0, cells, self.cells):
            own = [found[groups[cell]] if cell in groups else found[:0] for cell in range(first, first + self.cells)]
            # A night in which nothing moves tells nothing about how much movement varies.
            scales.append(cell_scale(own if any(map(len, own)) else [found] * self.cells, _SCALE_QUANTILE))
        return np.concatenate(scales)


def frame_scores(
    motion: Motion,
    frames: NDArray[np.integer],
    cells: NDArray[np.int16],
    distances: FloatArray,
    terms: NDArray[np.float16],
) -> dict[int, float]:
    """Frame -> its score, from its active cells. frames: (n,) number of each cell's frame, in order."""
    scores: dict[int, float] = {}
    cuts = np.flatnonzero(np.diff(frames)) + 1
    for own in np.split(np.arange(len(frames)), cuts):
        if len(own):
            scores[int(frames[own[0]])] = motion.score_of(cells[own], distances[own], terms[own])
    return scores


def nearest(
    points: FloatArray, cells: NDArray[np.int16], features: FloatArray, without: NDArray[np.bool_]
) -> FloatArray:
    """Mean distance of each of the features (n, d) to the nearest exemplars of its cell: (n,) float32.

    points   (cells, most, d) exemplars of all cells
    cells    (n,) the cell of each row
    without  (cells, most) exemplars to leave out
    """
    found = np.empty(len(cells), np.float32)
    for cell, rows in by_cell(cells).items():
        exemplars, own = points[cell], features[rows]
        norms = np.square(own).sum(axis=1)[:, None]
        squares = norms + np.square(exemplars).sum(axis=1) - 2 * own @ exemplars.T
        # A row that is not used is zero, as if nothing moved; one that is left out counts as not used.
        squares = np.where(without[cell], norms, squares)
        closest = np.partition(squares, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        found[rows] = np.sqrt(np.maximum(closest, 0)).mean(axis=1)
    return found


def by_cell(cells: NDArray[np.int16]) -> dict[int, NDArray[np.intp]]:
    """Cell -> the rows that belong to it, in order."""
    order = np.argsort(cells, kind="stable")
    cuts = np.flatnonzero(np.diff(cells[order])) + 1
    return {int(cells[rows[0]]): rows for rows in np.split(order, cuts) if len(rows)}
