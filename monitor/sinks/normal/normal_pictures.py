"""The pictures of calm footage of one camera, and the nearest of them to a picture. No clock, no files, no threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from monitor.small_pictures import SmallPictures
from monitor.states import Region
from monitor.types import Image

HEIGHT_PX = 96
"""Height of the pictures that are kept."""
SKETCH = (64, 36)
"""Columns and rows of grey that pictures are compared by."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class NormalPicture:
    """A small picture. at: when it was, unix seconds; sketch: (36, 64) uint8 grey, to compare it."""

    at: float
    jpeg: bytes
    sketch: Image


def shrunk(image: Image) -> Image:
    """The picture, at most 96 px high: (h, w, 3) uint8 BGR. image: (H, W, 3) uint8 BGR."""
    small = SmallPictures(image).sample
    height, width = small.shape[:2]
    if height <= HEIGHT_PX:
        return small
    size = max(1, round(width * HEIGHT_PX / height)), HEIGHT_PX
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)


def sketch_of(small: Image) -> Image:
    """What a picture of ``shrunk`` is compared by, (36, 64) uint8 grey."""
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, SKETCH, interpolation=cv2.INTER_AREA), np.uint8)


class NormalPictures:
    """At most ``most`` pictures, spread over the time of day."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[NormalPicture] = []  # by time of day

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, picture: NormalPicture) -> list[NormalPicture]:
        """Add a picture. Returns those that are kept no more.

        Each picture fills the time of day from its neighbour before to its neighbour after. If there are too many, the
        one that fills the least goes, among equals the oldest; never the new one.
        """
        self._kept = [each for each in self._kept if each.at != picture.at]  # a file that is played again
        self._kept.append(picture)
        self._kept.sort(key=lambda each: each.at % DAY_S)
        gone = []
        while len(self._kept) > self._most:
            fills = zip(self._fills(), self._kept, strict=True)
            _, _, least = min((fill, each.at, at) for at, (fill, each) in enumerate(fills) if each is not picture)
            gone.append(self._kept.pop(least))
        return gone

    def nearest(self, image: Image, regions: Sequence[Region]) -> NormalPicture | None:
        """The picture that is the most like this one, (H, W, 3) uint8 BGR; None without any.

        The distance is the mean squared difference of the whole pictures, plus that in the regions, so that what was
        normal in the same place counts most. regions: in pixels of the image.
        """
        if not self._kept:
            return None
        known = np.stack([each.sketch for each in self._kept]).astype(np.float32)
        apart = (known - sketch_of(shrunk(image)).astype(np.float32)) ** 2
        distance = apart.mean(axis=(1, 2))
        inside = _cells(regions, image.shape[1], image.shape[0])
        if inside.any():
            distance = distance + apart[:, inside].mean(axis=1)
        return self._kept[int(distance.argmin())]

    def forget(self, from_at: float, to_at: float) -> list[NormalPicture]:
        """Forget the pictures of this time, unix seconds. Returns them."""
        gone = [each for each in self._kept if from_at <= each.at <= to_at]
        self._kept = [each for each in self._kept if not from_at <= each.at <= to_at]
        return gone

    def _fills(self) -> list[float]:
        times = [each.at % DAY_S for each in self._kept]
        before = [times[-1] - DAY_S, *times[:-1]]
        after = [*times[1:], times[0] + DAY_S]
        return [later - earlier for earlier, later in zip(before, after, strict=True)]


def _cells(regions: Sequence[Region], width: int, height: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which cells of a sketch the regions touch, (36, 64) bool."""
    columns, rows = SKETCH
    inside = np.zeros((rows, columns), np.bool_)
    for region in regions:
        left, right = region.x * columns // width, (region.x + region.width) * columns / width
        top, bottom = region.y * rows // height, (region.y + region.height) * rows / height
        inside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return inside
