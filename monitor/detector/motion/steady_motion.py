"""The steady velocity of moving objects: the average over seconds, while the object is followed.

The flow of one moment is a bad estimate of a person's speed: legs and arms swing at twice the speed of the body, and
the flow of small objects is inaccurate. An average at a fixed place does not help, because a second later the person is
somewhere else. So the average is moved along with the flow, as a semi-Lagrangian scheme moves a quantity along with a
fluid (Staniforth and Cote, Semi-Lagrangian integration schemes for atmospheric models, 1991).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray

_STEP = 2  # one of this many pixels is followed per axis: the flow has no finer detail
_MEMORY_S = 2.0  # motion of this age counts for about a third (1/e)
_PRIOR_S = 0.3  # every object starts with this many seconds without motion, so that a short glimpse is not a high speed


class SteadyMotion:
    """Follows moving objects in one camera's pictures of (h, w) px, both even. One object per stream."""

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape[0] // _STEP, shape[1] // _STEP
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._carried = np.zeros((height, width, 3), np.float32)  # seconds followed, and the distance moved, px
        self._right, self._down = np.zeros_like(self._x), np.zeros_like(self._x)  # px/s, in the previous picture
        self._moved = False
        self._time_s = -math.inf
        pixel = np.arange(shape[0] * shape[1])
        self._place = pixel // shape[1] // _STEP * width + pixel % shape[1] // _STEP  # each pixel's index in _carried

    def update(
        self,
        flow: tuple[FloatArray, FloatArray],
        moves: NDArray[np.bool_],
        pixels: NDArray[np.intp],
        time_s: float,
        lag_s: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Process the next picture, in order of time.

        flow    displacement to the right and down, (h, w) float32 each, px in ``lag_s`` seconds
        moves   (h, w), True for moving pixels
        pixels  (n,), the pixels to report, as indices in the flattened picture
        time_s  time of the picture, seconds
        lag_s   time between the two pictures of the flow, seconds

        Returns the steady velocity at these pixels, to the right and down, (n,) float32 each, px/s: the distance moved
        divided by the time followed plus 0.3 s.
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
        """Process a picture in which nothing moved: all followed objects stay where they are."""
        self._moved = False
