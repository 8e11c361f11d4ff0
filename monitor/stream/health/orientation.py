"""Detects flipped pictures. A corrupted stream flips single frames; a camera may be mounted upside down."""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum

import cv2
import numpy as np

from monitor.types import FloatArray, Image

_AT_LEAST = 0.5  # share of the usual likeness; below it, the view is not recognised in any orientation
_WINDOW_S = 10.0
_FEWEST, _SHARE = 3, 0.05  # flipped frames within a window that are needed for a report: number and share


class Flip(Enum):
    """How a frame is flipped. The value is OpenCV's flip code, None for upright. Each flip is its own inverse."""

    NONE = None
    VERTICAL = 0
    HORIZONTAL = 1
    BOTH = -1

    def apply(self, image: Image) -> Image:
        """The flipped picture, as a new array; for NONE, ``image`` itself."""
        return image if self.value is None else np.asarray(cv2.flip(image, self.value), np.uint8)


FLIPS = tuple(Flip)
"""The order of the first axis of ``views_flipped``."""

_IN_WORDS = {
    Flip.VERTICAL: "frames come flipped top to bottom",
    Flip.HORIZONTAL: "frames come mirrored",
    Flip.BOTH: "frames come upside down",
}


def views_flipped(details: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The details, (V, N), of pictures of ``size`` = (width, height), in all four orientations: (4, V, N)."""
    pictures = details.reshape(-1, size[1], size[0])
    ways = (pictures, pictures[:, ::-1], pictures[:, :, ::-1], pictures[:, ::-1, ::-1])
    return np.stack(ways).reshape(4, *details.shape)


def find_flip(likeness: FloatArray, usual: FloatArray, margin: float) -> Flip:
    """How a frame is flipped; NONE if it is upright or if this is uncertain.

    likeness  (4, V) float32: the frame's correlation with each view in each orientation
    usual     (V,) float32: median correlation of normal frames with their own view
    margin    the best correlation must exceed that of the frame as it is by at least this
    """
    way, view = np.unravel_index(int(likeness.argmax()), likeness.shape)
    best = likeness[way, view]
    if best - likeness[0].max() < margin or best < _AT_LEAST * usual[view]:
        return Flip.NONE
    return FLIPS[way]


class Flipping:
    """Reports a camera that sends flipped frames: all of them, or some of them repeatedly."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._window_s = max(_WINDOW_S, after_s)
        self._frames: deque[tuple[float, Flip]] = deque()
        self._flipped: Counter[Flip] = Counter()
        self.sentence = ""

    def update(self, time_s: float, flip: Flip) -> str:
        """A sentence while the camera sends flipped frames, otherwise ""."""
        self._frames.append((time_s, flip))
        self._flipped[flip] += 1
        while time_s - self._frames[0][0] > self._window_s:
            self._flipped[self._frames.popleft()[1]] -= 1
        flipped = len(self._frames) - self._flipped[Flip.NONE]
        if not flipped:
            self.sentence = ""
        elif not self.sentence and flipped >= max(_FEWEST, _SHARE * len(self._frames)):
            first_s = next(at_s for at_s, way in self._frames if way is not Flip.NONE)
            if time_s - first_s >= self._after_s:
                self.sentence = self._in_words(flipped)
        return self.sentence

    def _in_words(self, flipped: int) -> str:
        ways = [way for way in _IN_WORDS if self._flipped[way]]
        what = _IN_WORDS[ways[0]] if len(ways) == 1 else "frames come flipped"
        most = flipped >= 0.5 * len(self._frames)
        return f"{'' if most else 'some '}{what}: they are turned back before they are scored"
