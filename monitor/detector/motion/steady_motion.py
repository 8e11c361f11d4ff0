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
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._carried = np.zeros((height, width, 3), np.float32)  # seconds followed, and the way gone in them, px
        self._right, self._down = np.zeros_like(self._x), np.zeros_like(self._x)  # px/s, in the picture before
        self._moved = False
        self._time_s = -math.inf
        pixel = np.arange(shape[0] * shape[1])
        self._place = pixel // shape[1] // _STEP * width + pixel % shape[1] // _STEP  # of a pixel in what is carried

    def update(
        self,
        flow: tuple[FloatArray, FloatArray],
        moves: NDArray[np.bool_],
        pixels: NDArray[np.intp],
        time_s: float,
        lag_s: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Take the next picture, in order of time: how far things have moved in it, and where something moves.

        flow    rightwards and downwards, (h, w) float32 each, px in ``lag_s`` seconds
        moves   (h, w)
        pixels  (n,), some pixels, as indices in the flattened picture

        Returns the steady velocity of what is at these pixels, rightwards and downwards, (n,) float32 each, px/s: how
        far it has come over how long, with a moment of standing still before.
        """
        passed_s = time_s - self._time_s
        if passed_s > _MEMORY_S:
            self._carried[:] = 0
        else:
            if self._moved:
                step = np.float32(passed_s / _STEP)
                from_x, from_y = self._x - self._right * step, self._y - self._down * step
                self._carried = np.asarray(cv2.remap(self._carried, from_x, from_y, cv2.INTER_LINEAR), np.float32)
            self._carried *= np.float32(math.exp(-passed_s / _MEMORY_S))
        self._right, self._down = (part[::_STEP, ::_STEP] * np.float32(1 / lag_s) for part in flow)
        seen_s = moves[::_STEP, ::_STEP] * np.float32(min(passed_s, lag_s))
        self._carried += cv2.merge([seen_s, seen_s * self._right, seen_s * self._down])
        self._moved, self._time_s = True, time_s
        followed_s, right, down = cv2.split(self._carried)
        per_s = 1 / (followed_s + np.float32(_PRIOR_S))
        place = self._place[pixels]
        return (right * per_s).ravel()[place], (down * per_s).ravel()[place]

    def rest(self) -> None:
        """Nothing moved in a picture: what was followed stays where it is."""
        self._moved = False
