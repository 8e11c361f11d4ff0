"""Small versions of one frame for the health checks, computed once for all checks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray, Image

SIZE = (80, 45)
"""Width and height of a thumbnail, px. Both are efficient sizes for a Fourier transform, so it needs no padding."""

_SAMPLE = (320, 180)  # minimum columns and rows of the sample, if the picture has that many
_HIGH_PASS_PX = 2.0  # structures wider than this in a thumbnail come from the light, finer ones from the scene
_FEATURELESS = 1.0  # grey levels; a thumbnail with weaker detail cannot be recognised
_COLOURLESS = 4.0  # mean difference between a pixel's channels, grey levels: infrared 0.3, a dull day 20


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Small versions of a frame.

    sample     (h, w, 3) uint8 BGR, every k-th pixel of every k-th row: about 320x180, with the frame's own noise
    grey       (h, w) uint8, the sample without colour
    thumbnail  (45, 80, 3) uint8 BGR, area means
    detail     (3600,) float32: the thumbnail's ``detail_of``
    colour     False for a picture without colour: infrared, or a camera without colour
    """

    sample: Image
    grey: Image
    thumbnail: Image
    detail: FloatArray
    colour: bool

    @classmethod
    def of(cls, image: Image) -> Look:
        """Compute the small versions of a frame, (H, W, 3) uint8 BGR of any size."""
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
    """The detail of a grey thumbnail, independent of the light: high-pass filtered, mean 0, length 1.

    (45, 80) uint8 -> (3600,) float32; all 0 if the thumbnail has no detail. The dot product of two details is their
    correlation, -1..1.
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
