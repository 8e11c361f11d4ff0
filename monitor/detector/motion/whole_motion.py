"""Learns ``Motion`` from every frame of hours or days of footage, see ``coverage``, and scores each held-out block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detector.motion.cell_memory import CellMemory, frame_scores
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.detector.motion.motion_detector import Motion
from monitor.errors import UsageError
from monitor.types import FloatArray, Frame

MOST_CELLS = 4_000_000
"""Active cells whose features are kept to score them: 240 MB. Above it, every second piece of footage is dropped."""
_PIECE_FRAMES = 450
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
        self._memory = CellMemory(base)
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
                places = active + self._front_end.part * self._memory.cells
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
        motion, distances = self._memory.build(pieces, self._seen_s)
        scores = np.full(len(self._judged), np.nan)
        for piece in self._pieces:
            scores[piece.start : piece.stop][self._judged[piece.start : piece.stop]] = 0.0
        for piece, distance in zip(pieces, distances, strict=True):
            cells = self._memory.cells_of(piece.cells, self._seen_s)
            for frame, score in frame_scores(motion, piece.frames, cells, distance, piece.terms).items():
                scores[frame] = score
        return motion, scores

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
            self._memory.cover(cells, features.astype(np.float32), self._block)
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
