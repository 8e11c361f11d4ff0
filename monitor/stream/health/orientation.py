"""Which way up is the picture? A corrupted stream flips single frames, a camera put back may hang upside down."""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum

import cv2
import numpy as np

from monitor.types import FloatArray, Image

_AT_LEAST = 0.5  # of the usual likeness: below it nothing has been recognised, whichever way up
_WINDOW_S = 10.0
_FEWEST, _SHARE = 3, 0.05  # flipped frames of a window that make it worth saying


class Flip(Enum):
    """How a frame is flipped; the value is OpenCV's flip code, None for upright. Each undoes itself."""

    NONE = None
    VERTICAL = 0
    HORIZONTAL = 1
    BOTH = -1

    def apply(self, image: Image) -> Image:
        """The picture flipped so, in memory of its own; ``image`` itself for NONE."""
        return image if self.value is None else np.asarray(cv2.flip(image, self.value), np.uint8)


FLIPS = tuple(Flip)
"""The order in which ``views_flipped`` stands."""

_IN_WORDS = {
    Flip.VERTICAL: "frames come flipped top to bottom",
    Flip.HORIZONTAL: "frames come mirrored",
    Flip.BOTH: "frames come upside down",
}


def views_flipped(details: FloatArray, size: tuple[int, int]) -> FloatArray:
    """(V, N) details of pictures of ``size`` = (width, height) -> (4, V, N): each flipped in each way."""
    pictures = details.reshape(-1, size[1], size[0])
    ways = (pictures, pictures[:, ::-1], pictures[:, :, ::-1], pictures[:, ::-1, ::-1])
    return np.stack(ways).reshape(4, *details.shape)


def find_flip(likeness: FloatArray, usual: FloatArray, margin: float) -> Flip:
    """How a frame is flipped; NONE when it is upright and whenever that is not sure.

    likeness  (4, V) float32: its correlation with each view flipped in each way
    usual     (V,) float32: the median of normal frames' correlation with their own view
    margin    by which the best must exceed that of the frame as it is
    """
    way, view = np.unravel_index(int(likeness.argmax()), likeness.shape)
    best = likeness[way, view]
    if best - likeness[0].max() < margin or best < _AT_LEAST * usual[view]:
        return Flip.NONE
    return FLIPS[way]


class Flipping:
    """What there is to say of a camera whose frames come flipped: all of them, or again and again."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._window_s = max(_WINDOW_S, after_s)
        self._frames: deque[tuple[float, Flip]] = deque()
        self._flipped: Counter[Flip] = Counter()
        self.sentence = ""

    def update(self, time_s: float, flip: Flip) -> str:
        """A sentence while frames come flipped, otherwise nothing."""
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
