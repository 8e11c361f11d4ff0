"""What the checks look at: one frame, made small once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray, Image

SIZE = (80, 45)
"""Width and height of a thumbnail, px. Both are sizes that a Fourier transform likes: elsewhere it would be padded."""

_SAMPLE = (320, 180)  # at least so many columns and rows are looked at, where the picture has them
_HIGH_PASS_PX = 2.0  # what is wider than this in a thumbnail is light, what is finer is the scene
_FEATURELESS = 1.0  # grey levels: a thumbnail whose detail is fainter shows nothing to go by
_COLOURLESS = 4.0  # grey levels between a pixel's channels, in the mean: infrared has 0.3, a dull day 20


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A frame made small.

    sample     (h, w, 3) uint8 BGR, every k-th pixel of every k-th row: about 320x180, with the frame's own noise
    grey       (h, w) uint8, the sample without colour
    thumbnail  (45, 80, 3) uint8 BGR, area means
    detail     (3600,) float32: the thumbnail's ``detail_of``
    colour     False for a picture without colour: infrared, or a camera that has none
    """

    sample: Image
    grey: Image
    thumbnail: Image
    detail: FloatArray
    colour: bool

    @classmethod
    def of(cls, image: Image) -> Look:
        """Look at a frame, (H, W, 3) uint8 BGR of any size."""
        height, width = image.shape[:2]
        step = max(1, min(width // _SAMPLE[0], height // _SAMPLE[1]))
        sample = image
        if step > 1:
            size = (width // step, height // step)
            sample = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        grey = np.asarray(cv2.cvtColor(sample, cv2.COLOR_BGR2GRAY), np.uint8)
        thumbnail = np.asarray(cv2.resize(sample, SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        detail = detail_of(np.asarray(cv2.cvtColor(thumbnail, cv2.COLOR_BGR2GRAY)))
        return cls(sample, grey, thumbnail, detail, has_colour(thumbnail))


def detail_of(thumbnail: NDArray[np.uint8]) -> FloatArray:
    """What there is to recognise in a grey thumbnail whatever the light: high-passed, mean 0, length 1.

    (45, 80) uint8 -> (3600,) float32, all 0 where there is nothing: the product of two is their correlation, -1..1.
    """
    grey = thumbnail.astype(np.float32)
    high = (grey - cv2.GaussianBlur(grey, (0, 0), _HIGH_PASS_PX)).ravel()
    high -= high.mean()
    length = float(np.linalg.norm(high))
    if length < _FEATURELESS * np.sqrt(high.size):
        return np.zeros_like(high)
    return np.asarray(high / length, np.float32)


def has_colour(thumbnail: Image) -> bool:
    """Whether a thumbnail (45, 80, 3) uint8 BGR shows colour."""
    blue, green, red = cv2.split(thumbnail)
    spread = cv2.norm(blue, green, cv2.NORM_L1) + cv2.norm(green, red, cv2.NORM_L1)
    return float(spread) >= _COLOURLESS * blue.size
