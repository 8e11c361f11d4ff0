"""How fast things go on the whole: the velocity of what moves, averaged over seconds while following it.

The flow of one moment says little of how fast somebody goes: legs and arms swing at twice the speed of the body, and
the flow of small things is rough. Averaging at a place does not help, since the person is elsewhere a second later. So
the average is carried along with the flow, as a semi-Lagrangian scheme carries a quantity along with a fluid
(Staniforth and Cote, Semi-Lagrangian integration schemes for atmospheric models, 1991).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray

_STEP = 2  # every so many pixels one is followed: the flow is no finer
_MEMORY_S = 2.0  # what was seen so long ago counts for a third
_PRIOR_S = 0.3  # seconds of standing still that everything starts with, so that a short glimpse is not taken for speed


class SteadyMotion:
    """Follows what moves in one camera's pictures of (h, w) px, both even. One for each stream."""

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape[0] // _STEP, shape[1] // _STEP
        self._size = (shape[1], shape[0])
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._carried = np.zeros((height, width, 3), np.float32)  # seconds followed, and the way gone in them, px
        self._velocity: FloatArray | None = None  # (height, width, 2) px/s, of the picture before
        self._time_s = -math.inf

    def update(self, velocity: FloatArray, moving: NDArray[np.bool_], time_s: float, lag_s: float) -> FloatArray:
        """Take the velocity (h, w, 2) of a picture, px/s, and where something moves, (h, w); call it in order of time.

        lag_s: seconds over which the velocity was measured. Returns the steady velocity (h, w, 2) float32 of what is
        there, px/s: how far it has come over how long, with a moment of standing still before. It means something
        where something moves.
        """
        passed_s = time_s - self._time_s
        if passed_s > _MEMORY_S:
            self._carried[:] = 0
        else:
            if self._velocity is not None:
                way = self._velocity * np.float32(passed_s / _STEP)
                self._carried = cv2.remap(
                    self._carried, self._x - way[..., 0], self._y - way[..., 1], cv2.INTER_LINEAR
                ).astype(np.float32, copy=False)
            self._carried *= np.float32(math.exp(-passed_s / _MEMORY_S))
        now = np.ascontiguousarray(velocity[::_STEP, ::_STEP])
        seen_s = moving[::_STEP, ::_STEP] * np.float32(min(passed_s, lag_s))
        self._carried += cv2.merge([seen_s, seen_s * now[..., 0], seen_s * now[..., 1]])
        self._velocity, self._time_s = now, time_s
        steady = self._carried[..., 1:] / (self._carried[..., :1] + np.float32(_PRIOR_S))
        return np.asarray(cv2.resize(steady, self._size, interpolation=cv2.INTER_NEAREST), np.float32)

    def rest(self) -> None:
        """Nothing moved in a picture: what was followed stays where it is."""
        self._velocity = None
