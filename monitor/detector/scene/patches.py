"""Remembers the texture of each place of a picture: for cameras with only minutes of footage.

Whole pictures from a few minutes do not help for the next clip, because a change of light alone makes it look new. So
each place of 16 px (in a picture 320 px wide) is scored separately, by its texture. The texture ignores brightness, and
strong contrast is reduced.
"""

from __future__ import annotations

from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.frontend import analysis_size
from monitor.detector.scene.scene_states import farthest_first
from monitor.types import FloatArray, Image

SIDE = 4  # side of a place, px of the small picture: 16 px in a picture 320 px wide
_WIDTH = 80
_MIN_CONTRAST = 20.0  # grey levels; weaker texture counts less, stronger texture does not count more
_EXEMPLARS = 64
_SAMPLES = 1000
_PARTS = 4
_SCALE_QUANTILE = 0.98
_MIN_SCALE = 8.0  # 2 grey levels per pixel: the effect of light and noise on a place that never changed


class Patches:
    """The normal textures of each place in one regime.

    exemplars  (rows, columns, n, 16) float16, textures
    scale      (rows, columns) float32 > 0, distance exceeded by 2% of normal textures in parts of the footage that were
               not learned
    """

    def __init__(self, exemplars: NDArray[np.float16], scale: FloatArray) -> None:
        self.exemplars, self.scale = exemplars, scale
        self._exemplars = exemplars.astype(np.float32)
        self._squares = np.square(self._exemplars).sum(axis=3)

    @classmethod
    def learn(cls, pictures: NDArray[np.uint8]) -> Self:
        """Learn from (k, 4 * rows, 4 * columns) grey pictures of normal footage, in order of time, k >= 8.

        The scale of a place is the mean of its own scale and that of all places, because the own scale of a place with
        little activity is unreliable.
        """
        pictures = pictures[np.linspace(0, len(pictures) - 1, min(len(pictures), _SAMPLES)).astype(int)]
        samples = textures(pictures)
        parts = np.arange(len(samples)) * _PARTS // len(samples)
        rows, columns = samples.shape[1:3]
        exemplars = np.zeros((rows, columns, _EXEMPLARS, SIDE * SIDE), np.float16)
        distances = np.zeros((len(samples), rows, columns), np.float32)
        for row, column in np.ndindex(rows, columns):
            own = samples[:, row, column]
            chosen = farthest_first(own, _EXEMPLARS)
            found = own[chosen]
            exemplars[row, column, : len(chosen)] = found
            exemplars[row, column, len(chosen) :] = found[0]
            squares = np.square(own).sum(axis=1)[:, None] + np.square(found).sum(axis=1) - 2 * own @ found.T
            squares[parts[:, None] == parts[chosen]] = np.inf  # pictures that are close in time are too similar
            nearest = squares.min(axis=1)
            nearest[np.isinf(nearest)] = 0.0
            distances[:, row, column] = np.sqrt(np.maximum(nearest, 0))
        scale = np.quantile(distances, _SCALE_QUANTILE, axis=0) + np.quantile(distances, _SCALE_QUANTILE)
        return cls(exemplars, np.maximum(0.5 * scale, _MIN_SCALE).astype(np.float32))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the grey pictures to compare, px."""
        rows, columns = self.scale.shape
        return columns * SIDE, rows * SIDE

    def compare(self, picture: Image) -> FloatArray:
        """How unusual each place of a grey picture of ``size`` is: (rows, columns) float32, >= 0; 1 is unusual."""
        own = textures(picture[None])[0]
        product = np.matmul(self._exemplars, own[..., None])[..., 0]
        squares = (self._squares - 2 * product).min(axis=2) + np.square(own).sum(axis=2)
        return np.asarray(np.sqrt(np.maximum(squares, 0)) / self.scale, dtype=np.float32)


def patch_size(width: int, height: int) -> tuple[int, int]:
    """(width, height), px, of the grey picture that is used to score a picture of this size, px."""
    return analysis_size(width, height, target=_WIDTH, multiple=SIDE)


def patch_picture(image: Image, size: tuple[int, int]) -> Image:
    """Convert (H, W, 3) uint8 BGR to grey (h, w) uint8 of ``size`` = (width, height) px."""
    # Use every k-th pixel, with k so small that each pixel of the small picture is the mean of at least 2x2 of them.
    step = max(1, min(image.shape[0] // (2 * size[1]), image.shape[1] // (2 * size[0])))
    grey = cv2.cvtColor(np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step]), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def textures(pictures: NDArray[np.uint8]) -> FloatArray:
    """(k, rows, columns, 16) float32: each place minus its mean, its contrast reduced to at most 20 grey levels."""
    k, height, width = pictures.shape
    places = pictures.reshape(k, height // SIDE, SIDE, width // SIDE, SIDE).transpose(0, 1, 3, 2, 4)
    flat = places.reshape(k, height // SIDE, width // SIDE, SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=3, keepdims=True)
    contrast = np.sqrt(np.square(flat).mean(axis=3, keepdims=True))
    return np.asarray(flat * (_MIN_CONTRAST / np.maximum(contrast, _MIN_CONTRAST)), dtype=np.float32)
