"""What the memory of a camera needs of a frame, and how frames become pieces and blocks of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.learning.held_pieces import PICTURE, Piece
from monitor.states import CameraState
from monitor.stream.regimes import small_picture
from monitor.types import FloatArray, Frame, Image

HOUR_S = 3600.0
_FIRST_BLOCK_S = 150.0  # length of the blocks of time in the first hour; later ones last an hour
_FIRST_BLOCKS = round(HOUR_S / _FIRST_BLOCK_S)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the memory needs of a frame.

    time_s, segment  of the frame
    grey             (h, w) uint8, the size of ``Motion.picture_size``
    picture          (8, 16, 3) float32, see ``small_picture``
    moved            whether the camera is reported as moved
    scores           detector -> raw score, of the detectors that do not learn here; NaN if it cannot judge
    """

    time_s: float
    segment: int
    grey: Image
    picture: FloatArray
    moved: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Frame, size: tuple[int, int], scores: Mapping[str, float]) -> Look:
        """The look of a frame. size: (width, height) of the grey picture, px."""
        small = frame.small
        moved = frame.health.state is CameraState.MOVED
        return cls(frame.time_s, frame.segment, small.grey(size), small_picture(small.sample), moved, scores)


@dataclass(slots=True, eq=False)
class Seen:
    """What was measured in a frame that is not yet part of a piece.

    at_s     watched seconds; step_s: since the frame before, 0 after a gap
    part     0 by day, 1 by infrared light
    cells    places, features and terms of its active cells; None if nothing moves
    picture  (384,) small picture, one per second in steady light
    odd      in quarantine
    """

    at_s: float
    step_s: float
    block: int
    clip: int
    regime: int
    part: int
    judged: bool
    cells: tuple[NDArray[np.int16], FloatArray, FloatArray] | None
    picture: NDArray[np.float16] | None
    steady: bool
    scores: Mapping[str, float]
    odd: bool = False


def block_at(at_s: float) -> int:
    """The block of time of a moment, watched seconds: an hour; in the first hour, two and a half minutes."""
    return int(at_s // _FIRST_BLOCK_S) if at_s < HOUR_S else _FIRST_BLOCKS + int(at_s // HOUR_S) - 1


def block_end(block: int) -> float:
    """Where a block of time ends, watched seconds."""
    return (block + 1) * _FIRST_BLOCK_S if block < _FIRST_BLOCKS else (block - _FIRST_BLOCKS + 2) * HOUR_S


def piece_of(frames: Sequence[Seen], number: int) -> Piece:
    """The piece of these frames; there must be at least one."""
    active = [(k, seen.cells) for k, seen in enumerate(frames) if seen.cells is not None]
    sizes = [len(cells[0]) for _, cells in active]
    pictures = [seen.picture for seen in frames if seen.picture is not None]
    shown, last = np.full(len(frames), -1, np.int16), -1
    for k, seen in enumerate(frames):
        last += seen.picture is not None
        shown[k] = last if seen.steady else -1
    names = sorted({name for seen in frames for name in seen.scores})
    return Piece(
        number=number,
        block=frames[0].block,
        clip=frames[0].clip,
        times=np.array([seen.at_s for seen in frames], np.float64),
        regimes=np.array([seen.regime for seen in frames], np.int8),
        judged=np.array([seen.judged for seen in frames], bool),
        odd=np.array([seen.odd for seen in frames], bool),
        shown=shown,
        frames=np.repeat(np.array([k for k, _ in active], np.int16), sizes),
        cells=np.concatenate([np.zeros(0, np.int16), *(cells[0] for _, cells in active)]),
        features=np.concatenate([np.zeros((0, FEATURES)), *(cells[1] for _, cells in active)]).astype(np.float16),
        terms=np.concatenate([np.zeros((0, len(TERMS))), *(cells[2] for _, cells in active)]).astype(np.float16),
        pictures=np.concatenate([np.zeros((0, PICTURE), np.float16), *(own[None] for own in pictures)]),
        scores={name: np.array([seen.scores.get(name, np.nan) for seen in frames], np.float32) for name in names},
    )
