"""A frame made small, once for all who look at it.

Both samples are about 320x180 px: the frame in parts of k x k pixels, k as large as leaves that many.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_Picture = NDArray[np.uint8]

_SAMPLE = (320, 180)  # at least so many columns and rows are kept of a picture that has them


class Samples(NamedTuple):
    """The two samples of a frame, (h, w, 3) uint8 BGR; the frame itself where it is no larger.

    pixels  one pixel of each part, with the frame's own noise
    means   the mean of the middle ones
    """

    pixels: _Picture
    means: _Picture


def sample_size(width: int, height: int) -> tuple[int, int] | None:
    """(width, height) in px of the samples of a frame of this size; None where they are the frame itself."""
    parts = min(width // _SAMPLE[0], height // _SAMPLE[1])
    return None if parts < 2 else (width // parts, height // parts)


def pixel_sample(image: _Picture, out: _Picture | None = None) -> _Picture:
    """One pixel of each part of an image (H, W, 3) uint8, in ``out`` where that is given: see Samples."""
    return _resized(image, cv2.INTER_NEAREST, out)


def mean_sample(image: _Picture, out: _Picture | None = None) -> _Picture:
    """The middle pixel of each part, or the mean of the middle four, in ``out`` where that is given: see Samples.

    To average all of a large frame takes as long as all else that is done with it, and codecs leave neighbours little
    of their own. At half the size it is the mean of all.
    """
    return _resized(image, cv2.INTER_LINEAR, out)


def _resized(image: _Picture, interpolation: int, out: _Picture | None) -> _Picture:
    size = sample_size(image.shape[1], image.shape[0])
    if size is None:
        return image
    return np.asarray(cv2.resize(image, size, dst=out, interpolation=interpolation), np.uint8)


class SmallPictures:
    """Small pictures of one frame; each is made once and shared: nobody writes to it.

    image: (H, W, 3) uint8 BGR. Used by one thread at a time.
    """

    def __init__(self, image: _Picture) -> None:
        self._image = image
        self._grey: dict[tuple[int, int], _Picture] = {}

    def prepare(self, means: _Picture | None = None) -> None:
        """Make what needs the whole frame: by the thread that has read it, since one thread scores all frames.

        means: the frame's ``mean_sample``, where somebody has made it already.
        """
        if means is not None:
            self.sample = means
        _ = self._grey_sample

    @cached_property
    def sample(self) -> _Picture:
        """The frame's ``mean_sample``."""
        return mean_sample(self._image)

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
