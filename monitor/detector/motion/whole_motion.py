"""Learns ``Motion`` from every frame of hours or days of footage, see ``coverage``, and scores each held-out block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.detector.coverage import Coverage
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.detector.motion.motion_detector import Motion, cell_scale
from monitor.errors import UsageError
from monitor.types import FloatArray, Frame

EXEMPLARS, NEIGHBOURS = 128, 3
"""Exemplars of each cell. The radius adapts to their number; twice as many change no figure."""
MOST_CELLS = 4_000_000
"""Active cells whose features are kept to score them: 240 MB. Above it, every second piece of footage is dropped."""
_PIECE_FRAMES = 450
_USUAL = 0.99
_SCALE_QUANTILE = 0.9
"""Places differ in how much they vary: the scale of a place must not follow the most unusual that happened there."""
_LEAST_S = 3600.0
"""Seconds by day and by infrared light from which each has exemplars of its own."""
_LONGEST_STEP_S = 1.0  # a longer pause between two frames is not time that was watched


@dataclass(eq=False)
class _Piece:
    """The active cells of consecutive frames, in order of time.

    number       counted over all pieces, kept or not
    start, stop  first frame, and the frame after the last one, counted over everything taken
    frames       (n,) int32, number of the frame
    cells        (n,) int16; those of infrared pictures are counted on
    features     (n, 16) float16, divided by their deviation
    terms        (n, 12) float16
    """

    number: int
    block: int
    start: int
    stop: int
    frames: NDArray[np.int32]
    cells: NDArray[np.int16]
    features: NDArray[np.float16]
    terms: NDArray[np.float16]


class WholeMotion:
    """Takes all frames of the footage, in order, and learns from each. Memory is bounded.

    base  motion learned from a sample of the same footage: its background and its units are used
    """

    def __init__(self, base: Motion) -> None:
        self._base = base
        self._front_end = base.stream(light=True)
        rows, columns = base.grid
        self._cells = rows * columns
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
        self._coverage = Coverage(2 * rows * columns, EXEMPLARS - 1, FEATURES)
        self._seen_s = [0.0, 0.0]  # by day and by infrared light
        self._last_s = -math.inf
        self._judged: list[bool] = []
        self._pieces: list[_Piece] = []
        self._next, self._every, self._held_cells = 0, 1, 0
        self._start, self._block = 0, -1
        self._waiting: list[tuple[int, NDArray[np.intp], FloatArray, FloatArray]] = []

    def take(self, frame: Frame, block: int, *, fresh: bool) -> None:
        """Take the next frame that is scored.

        block  number of the block of time that the frame belongs to; it never falls
        fresh  True if the frame follows a gap: it cannot be compared with the frame before
        """
        if fresh:
            self._front_end = self._base.stream(light=True)
        if block != self._block or len(self._judged) - self._start >= _PIECE_FRAMES:
            self._end_piece()
            self._block, self._start = block, len(self._judged)
        view = self._front_end.update(frame)
        if view is not None and (view.moving.any() or view.changed.any()):
            cells = self._base.comparable(view)
            active = self._base.active(cells)
            # Where only the area is known, nothing can be said about speed and direction: that is no exemplar.
            if len(active) and not cells.only_area:
                features = cells.features.reshape(-1, FEATURES)[active] / self._base.deviation
                terms = cells.terms.reshape(-1, len(TERMS))[active]
                places = active + self._front_end.part * self._cells
                self._waiting.append((len(self._judged), places, features, terms))
        step_s = frame.time_s - self._last_s
        self._seen_s[self._front_end.part] += step_s if 0 < step_s <= _LONGEST_STEP_S else 0.0
        self._last_s = frame.time_s
        self._judged.append(view is not None)

    def finish(self) -> tuple[Motion, NDArray[np.float64]]:
        """The detector, and the score of each frame taken by what the other blocks of time know: (n,) float64.

        NaN for frames that cannot be judged or are not held out. Raises UsageError if nothing moves.
        """
        self._end_piece()
        pieces = [piece for piece in self._pieces if len(piece.frames)]
        if not pieces:
            raise UsageError("nothing moves in the normal footage for motion; give footage with its usual traffic")
        infrared = min(self._seen_s) >= _LEAST_S
        points, only_of = self._coverage.points, self._coverage.only_of
        if not infrared:
            pieces = [replace(piece, cells=piece.cells % self._cells) for piece in pieces]
            joined = self._coverage.halves_joined(first=int(self._seen_s[1] > self._seen_s[0]))
            points, only_of = joined.points, joined.only_of
        distances = [
            nearest(points, piece.cells, piece.features.astype(np.float32), only_of(piece.block)) for piece in pieces
        ]
        found = np.concatenate(distances)
        terms = np.concatenate([piece.terms for piece in pieces])
        groups = _by_cell(np.concatenate([piece.cells for piece in pieces]))
        usual = np.zeros((len(points), len(TERMS)), np.float16)
        for cell, near in enumerate(self._near[: len(points)]):
            known = [groups[other] for other in near if other in groups]
            if known:
                usual[cell] = np.quantile(terms[np.concatenate(known)].astype(np.float32), _USUAL, axis=0)
        exemplars = np.zeros((len(points), EXEMPLARS, FEATURES), np.float16)
        exemplars[:, :-1] = points
        rows, columns = self._base.grid
        rows *= 2 if infrared else 1
        motion = self._base.covering(
            exemplars.reshape(rows, columns, EXEMPLARS, FEATURES),
            self._scale(found, groups, len(points)).reshape(rows, columns),
            usual.reshape(rows, columns, len(TERMS)),
            infrared=infrared,
        )
        scores = np.full(len(self._judged), np.nan)
        for piece in self._pieces:
            scores[piece.start : piece.stop][self._judged[piece.start : piece.stop]] = 0.0
        for piece, distance in zip(pieces, distances, strict=True):
            cuts = np.flatnonzero(np.diff(piece.frames)) + 1
            for own in np.split(np.arange(len(piece.frames)), cuts):
                scores[piece.frames[own[0]]] = motion.score_of(piece.cells[own], distance[own], piece.terms[own])
        return motion, scores

    def _scale(self, found: FloatArray, groups: Mapping[int, NDArray[np.intp]], cells: int) -> FloatArray:
        """The scale of each cell, (cells,) float32. By day and by infrared light it is learned separately."""
        scales = []
        for first in range(0, cells, self._cells):
            own = [found[groups[cell]] if cell in groups else found[:0] for cell in range(first, first + self._cells)]
            # A night in which nothing moves tells nothing about how much movement varies.
            scales.append(cell_scale(own if any(map(len, own)) else [found] * self._cells, _SCALE_QUANTILE))
        return np.concatenate(scales)

    def _end_piece(self) -> None:
        """Learn from the frames since the last piece, and keep their cells to score them at the end."""
        number, self._next = self._next, self._next + 1
        frames = np.repeat(
            np.array([frame for frame, *_ in self._waiting], np.int32), [len(each[1]) for each in self._waiting]
        )
        if len(frames):
            cells = np.concatenate([active for _, active, _, _ in self._waiting]).astype(np.int16)
            features = np.concatenate([features for *_, features, _ in self._waiting]).astype(np.float16)
            terms = np.concatenate([terms for *_, terms in self._waiting]).astype(np.float16)
            self._cover(cells, features.astype(np.float32))
        else:
            cells, features = np.zeros(0, np.int16), np.zeros((0, FEATURES), np.float16)
            terms = np.zeros((0, len(TERMS)), np.float16)
        self._waiting = []
        if number % self._every == 0:
            stop = len(self._judged)
            self._pieces.append(_Piece(number, self._block, self._start, stop, frames, cells, features, terms))
            self._held_cells += len(cells)
        while self._held_cells > MOST_CELLS and len(self._pieces) > 1:
            self._every *= 2
            self._pieces = [piece for piece in self._pieces if piece.number % self._every == 0]
            self._held_cells = sum(len(piece.cells) for piece in self._pieces)

    def _cover(self, cells: NDArray[np.int16], features: FloatArray) -> None:
        groups = _by_cell(cells)
        for cell, near in enumerate(self._near):
            known = [groups[other] for other in near if other in groups]
            if known:
                self._coverage.add(cell, features[np.sort(np.concatenate(known))], self._block)


def nearest(
    points: FloatArray, cells: NDArray[np.int16], features: FloatArray, without: NDArray[np.bool_]
) -> FloatArray:
    """Mean distance of each of the features (n, d) to the nearest exemplars of its cell: (n,) float32.

    points   (cells, most, d) exemplars of all cells
    cells    (n,) the cell of each row
    without  (cells, most) exemplars to leave out
    """
    found = np.empty(len(cells), np.float32)
    for cell, rows in _by_cell(cells).items():
        exemplars, own = points[cell], features[rows]
        norms = np.square(own).sum(axis=1)[:, None]
        squares = norms + np.square(exemplars).sum(axis=1) - 2 * own @ exemplars.T
        # A row that is not used is zero, as if nothing moved; one that is left out counts as not used.
        squares = np.where(without[cell], norms, squares)
        closest = np.partition(squares, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        found[rows] = np.sqrt(np.maximum(closest, 0)).mean(axis=1)
    return found


def _by_cell(cells: NDArray[np.int16]) -> dict[int, NDArray[np.intp]]:
    """Cell -> the rows that belong to it, in order."""
    order = np.argsort(cells, kind="stable")
    cuts = np.flatnonzero(np.diff(cells[order])) + 1
    return {int(cells[rows[0]]): rows for rows in np.split(order, cuts) if len(rows)}
