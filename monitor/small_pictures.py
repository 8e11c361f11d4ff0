"""Small versions of a frame. Each version is computed once and shared by all its users."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

_Picture = NDArray[np.uint8]

_SAMPLE = (320, 180)  # minimum columns and rows of the sample, if the frame has that many


class SmallPictures:
    """Small pictures of one frame. Each is computed once and shared, so no user may write to it.

    image: (H, W, 3) uint8 BGR. Only one thread at a time may use this object.
    """

    def __init__(self, image: _Picture) -> None:
        self._image = image
        self._grey: dict[tuple[int, int], _Picture] = {}

    def prepare(self) -> None:
        """Compute what needs the whole frame. The thread that read the frame calls this, to relieve the scoring thread.

        All frames are scored by one thread.
        """
        _ = self._grey_sample

    @cached_property
    def sample(self) -> _Picture:
        """The frame divided by the largest integer k that leaves at least 320x180 px, (h, w, 3) uint8 BGR.

        Only the middle pixel of each k x k block is used (odd k), or the mean of the middle four (even k). Averaging
        all pixels of a large frame would take as long as all its other processing, and after a codec neighbouring
        pixels differ little. For k = 2 the result is the mean of the block.
        """
        height, width = self._image.shape[:2]
        parts = min(width // _SAMPLE[0], height // _SAMPLE[1])
        if parts < 2:
            return self._image
        size = (width // parts, height // parts)
        return np.asarray(cv2.resize(self._image, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    @cached_property
    def _grey_sample(self) -> _Picture:
        return np.asarray(cv2.cvtColor(self.sample, cv2.COLOR_BGR2GRAY), np.uint8)

    def grey(self, size: tuple[int, int]) -> _Picture:
        """The area means of the sample, (h, w) uint8 grey. size: (width, height) px."""
        found = self._grey.get(size)
        if found is None:
            found = _reduce(self._grey_sample, size)
            self._grey[size] = found
        return found


def _reduce(grey: _Picture, size: tuple[int, int]) -> _Picture:
    """Area means, exact to one grey level. It halves repeatedly: halving is several times faster than other ratios."""
    while grey.shape[1] >= 2 * size[0] and grey.shape[0] >= 2 * size[1] and not sum(grey.shape) & 1:
        grey = np.asarray(cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
