"""A frame made small, once for all who look at it."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

_Picture = NDArray[np.uint8]

_SAMPLE = (320, 180)  # at least so many columns and rows are kept of a picture that has them


class SmallPictures:
    """Small pictures of one frame; each is made once and shared: nobody writes to it.

    image: (H, W, 3) uint8 BGR. Used by one thread at a time.
    """

    def __init__(self, image: _Picture) -> None:
        self._image = image
        self._grey: dict[tuple[int, int], _Picture] = {}

    def prepare(self) -> None:
        """Make what needs the whole frame: by the thread that has read it, since one thread scores all frames."""
        _ = self._grey_sample

    @cached_property
    def sample(self) -> _Picture:
        """About 320x180 px or the next larger whole part of the frame, (h, w, 3) uint8 BGR.

        Of each part of k x k pixels the middle one counts, or the middle four: to average all of a large frame takes
        as long as all else that is done with it, and codecs leave neighbours little of their own. At half the size
        that is the mean.
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
        """(h, w) uint8, area means of the sample; size: (width, height) px."""
        found = self._grey.get(size)
        if found is None:
            found = _reduce(self._grey_sample, size)
            self._grey[size] = found
        return found


def _reduce(grey: _Picture, size: tuple[int, int]) -> _Picture:
    """Area means, to within a grey level: halving is several times faster than other ratios."""
    while grey.shape[1] >= 2 * size[0] and grey.shape[0] >= 2 * size[1] and not sum(grey.shape) & 1:
        grey = np.asarray(cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
