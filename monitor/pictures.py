"""A frame made small, once for all who look at it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_Picture = NDArray[np.uint8]


class SmallPictures:
    """Grey pictures of one frame in the sizes asked for; each is made once and shared: nobody writes to it.

    image: (H, W, 3) uint8 BGR. Used by one thread at a time.
    """

    __slots__ = ("_grey", "_halved", "_image")

    def __init__(self, image: _Picture) -> None:
        self._image = image
        # Never the whole picture without colour: that would be a third of the frame's memory, for as long as it lives.
        self._halved: dict[int, _Picture] = {}  # by how often it was halved
        self._grey: dict[tuple[int, int], _Picture] = {}

    def grey(self, size: tuple[int, int]) -> _Picture:
        """(h, w) uint8, area-averaged; size: (width, height) px."""
        found = self._grey.get(size)
        if found is None:
            halved = self._halve(size)
            found = np.asarray(cv2.resize(halved, size, interpolation=cv2.INTER_AREA), np.uint8)
            self._grey[size] = found
        return found

    def _halve(self, size: tuple[int, int]) -> _Picture:
        """The picture without colour, halved as often as it can be exactly and stays as large as ``size``.

        Halving is several times faster than other ratios, and the same to within a grey level.
        """
        height, width = self._image.shape[:2]
        times = 0
        while width >= 2 * size[0] and height >= 2 * size[1] and not (width | height) & 1:
            width, height, times = width // 2, height // 2, times + 1
        known = max((t for t in self._halved if t <= times), default=None)
        if known is None:
            known = 0
            picture = cv2.cvtColor(self._image, cv2.COLOR_BGR2GRAY)
        else:
            picture = self._halved[known]
        for step in range(known + 1, times + 1):
            half = (picture.shape[1] // 2, picture.shape[0] // 2)
            picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
            self._halved[step] = np.asarray(picture, np.uint8)
        return np.asarray(picture, np.uint8)
