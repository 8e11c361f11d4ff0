"""What is kept of watched frames, to score them by what other hours know: pieces, spread over the last days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.stream.regimes import COLUMNS, ROWS

PIECE_FRAMES = 450
"""Frames of a piece."""
MOST_BYTES = 12_000_000
"""Memory of all pieces. Above it, every second one is dropped."""
KEPT_S = 7 * 86_400.0
"""Older pieces are forgotten, watched seconds."""
PICTURE = ROWS * COLUMNS * 3
"""Values of a small picture."""

_FIELDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "times": (np.float64, ()),
    "regimes": (np.int8, ()),
    "judged": (np.bool_, ()),
    "odd": (np.bool_, ()),
    "shown": (np.int16, ()),
    "frames": (np.int16, ()),
    "cells": (np.int16, ()),
    "features": (np.float16, (FEATURES,)),
    "terms": (np.float16, (len(TERMS),)),
    "pictures": (np.float16, (PICTURE,)),
}
_PER_FRAME = ("times", "regimes", "judged", "odd", "shown")
_PER_CELL = ("frames", "cells", "features", "terms")


@dataclass(eq=False)
class Piece:
    """Consecutive frames of one stream and one block of time: n frames, m active cells, p small pictures.

    number    counted over all pieces, kept or not
    block     number of the block of time
    clip      number of the stream: it changes at each gap
    times     (n,) float64, watched seconds
    regimes   (n,) int8, as index in ``tuple(Regime)``
    judged    (n,) bool: motion could be measured
    odd       (n,) bool: in quarantine
    shown     (n,) int16, index of the frame's small picture; -1 if the light was not steady
    frames    (m,) int16, index of the cell's frame
    cells     (m,) int16; those of infrared pictures are counted on
    features  (m, 16) float16, divided by their deviation
    terms     (m, 12) float16
    pictures  (p, 384) float16
    scores    detector -> (n,) float32 raw live scores of detectors that do not learn here
    """

    number: int
    block: int
    clip: int
    times: NDArray[np.float64]
    regimes: NDArray[np.int8]
    judged: NDArray[np.bool_]
    odd: NDArray[np.bool_]
    shown: NDArray[np.int16]
    frames: NDArray[np.int16]
    cells: NDArray[np.int16]
    features: NDArray[np.float16]
    terms: NDArray[np.float16]
    pictures: NDArray[np.float16]
    scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory of its arrays."""
        return sum(values.nbytes for values in self.tensors().values())

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Its arrays by name, for a file."""
        found: dict[str, NDArray[np.generic]] = {name: getattr(self, name) for name in _FIELDS}
        found["numbers"] = np.array([self.number, self.block, self.clip], np.int64)
        return found | {f"score.{name}": values for name, values in self.scores.items()}

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[np.generic]]) -> Piece:
        """The inverse of ``tensors``. Raises KeyError and ValueError for arrays that it cannot have given."""
        arrays = {name: np.asarray(tensors[name]) for name in _FIELDS}
        sizes = {name: len(arrays[of]) for names, of in ((_PER_FRAME, "times"), (_PER_CELL, "cells")) for name in names}
        for name, array in arrays.items():
            kind, shape = _FIELDS[name]
            size = sizes.get(name, len(array))
            if array.dtype != kind or array.shape != (size, *shape) or not np.isfinite(array).all():
                raise ValueError(name)
        frames, shown = len(arrays["times"]), arrays["shown"]
        if frames > PIECE_FRAMES or ((shown < -1) | (shown >= len(arrays["pictures"]))).any():
            raise ValueError("shown")
        if len(arrays["frames"]) and not 0 <= arrays["frames"].min() <= arrays["frames"].max() < frames:
            raise ValueError("frames")
        scores = {
            key.removeprefix("score."): np.asarray(values, np.float32)
            for key, values in tensors.items()
            if key.startswith("score.")
        }
        if any(values.shape != (frames,) or np.isinf(values).any() for values in scores.values()):
            raise ValueError("score")
        number, block, clip = (int(value) for value in np.asarray(tensors["numbers"], np.int64))
        return cls(number, block, clip, **arrays, scores=scores)


class HeldPieces:
    """Pieces in order of time, in bounded memory: if there are too many, every second one is dropped.

    most_bytes: their memory at most
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.pieces: list[Piece] = []
        self.every = 1
        """Every so many pieces, one is kept."""
        self._bytes = 0

    def restore(self, piece: Piece) -> None:
        """Keep a piece that was kept in an earlier run."""
        self.pieces.append(piece)
        self._bytes += piece.nbytes

    def add(self, piece: Piece) -> None:
        """Keep a piece, unless there are too many."""
        oldest_s = float(piece.times[-1]) - KEPT_S
        if self.pieces and self.pieces[0].times[-1] < oldest_s:
            self.pieces = [old for old in self.pieces if old.times[-1] >= oldest_s]
            self._bytes = sum(old.nbytes for old in self.pieces)
        if piece.number % self.every == 0:
            self.pieces.append(piece)
            self._bytes += piece.nbytes
        while self._bytes > self._most_bytes and len(self.pieces) > 1:
            self.every *= 2
            self.pieces = [kept for kept in self.pieces if kept.number % self.every == 0]
            self._bytes = sum(kept.nbytes for kept in self.pieces)


def clips_of(pieces: Sequence[Piece]) -> NDArray[np.int32]:
    """The clip of each frame: pieces that follow each other in the stream are one."""
    clips, clip = [], -1
    before: Piece | None = None
    for piece in pieces:
        if before is None or piece.number != before.number + 1 or piece.clip != before.clip:
            clip += 1
        clips.append(np.full(len(piece.times), clip, np.int32))
        before = piece
    return np.concatenate(clips)


def cut_off(scores: NDArray[np.float64], odd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores of alarms that nobody has judged are cut off at the highest other one: they may be abnormal.

    To leave them out would lower the threshold with every false alarm.
    """
    usual = scores[~odd & np.isfinite(scores)]
    if len(usual):
        scores = np.where(odd & (scores > usual.max()), usual.max(), scores)
    return scores
