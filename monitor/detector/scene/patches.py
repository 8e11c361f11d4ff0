"""What each place of a picture has looked like, as texture: for cameras with only minutes of footage.

Whole pictures of a few minutes say nothing of the next clip, whose light alone makes it look new. So each place of
16 px (of a picture 320 px wide) is judged for itself, by its texture without brightness and with little contrast.
"""

from __future__ import annotations

from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.frontend import analysis_size
from monitor.detector.scene.scene_states import farthest_first
from monitor.types import FloatArray, Image

SIDE = 4  # px of the small picture: 16 px of one 320 px wide
_WIDTH = 80
_MIN_CONTRAST = 20.0  # grey levels; fainter texture counts for less, stronger for no more
_EXEMPLARS = 64
_SAMPLES = 1000
_PARTS = 4
_SCALE_QUANTILE = 0.98
_MIN_SCALE = 8.0  # 2 grey levels a pixel: what light and noise do to a place that never changed


class Patches:
    """What is normal in each place in one regime.

    exemplars  (rows, columns, n, 16) float16, textures
    scale      (rows, columns) float32 > 0, distance that 2% of normal textures pass in unlearned parts of the footage
    """

    def __init__(self, exemplars: NDArray[np.float16], scale: FloatArray) -> None:
        self.exemplars, self.scale = exemplars, scale
        self._exemplars = exemplars.astype(np.float32)
        self._squares = np.square(self._exemplars).sum(axis=3)

    @classmethod
    def learn(cls, pictures: NDArray[np.uint8]) -> Self:
        """From (k, 4 * rows, 4 * columns) grey pictures of normal footage, in order of time, k >= 8.

        The scale of a place is half its own and half that of all, since a place where little happened shows little.
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
            squares[parts[:, None] == parts[chosen]] = np.inf  # an own neighbour in time is no measure
            nearest = squares.min(axis=1)
            nearest[np.isinf(nearest)] = 0.0
            distances[:, row, column] = np.sqrt(np.maximum(nearest, 0))
        scale = np.quantile(distances, _SCALE_QUANTILE, axis=0) + np.quantile(distances, _SCALE_QUANTILE)
        return cls(exemplars, np.maximum(0.5 * scale, _MIN_SCALE).astype(np.float32))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px of the grey pictures compared."""
        rows, columns = self.scale.shape
        return columns * SIDE, rows * SIDE

    def compare(self, picture: Image) -> FloatArray:
        """How strange each place of a grey picture of ``size`` is: (rows, columns) float32, >= 0; 1 is unusual."""
        own = textures(picture[None])[0]
        product = np.matmul(self._exemplars, own[..., None])[..., 0]
        squares = (self._squares - 2 * product).min(axis=2) + np.square(own).sum(axis=2)
        return np.asarray(np.sqrt(np.maximum(squares, 0)) / self.scale, dtype=np.float32)


def patch_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) in px of the grey picture that a picture of this size in px is judged at."""
    return analysis_size(width, height, target=_WIDTH, multiple=SIDE)


def patch_picture(image: Image, size: tuple[int, int]) -> Image:
    """Grey (h, w) uint8 of ``size`` = (width, height) px, of (H, W, 3) uint8 BGR."""
    # Every k-th pixel, as long as a pixel of the small picture is the mean of 2x2 of them.
    step = max(1, min(image.shape[0] // (2 * size[1]), image.shape[1] // (2 * size[0])))
    grey = cv2.cvtColor(np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step]), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def textures(pictures: NDArray[np.uint8]) -> FloatArray:
    """(k, rows, columns, 16) float32: each place less its mean, its contrast brought to 20 grey levels or below."""
    k, height, width = pictures.shape
    places = pictures.reshape(k, height // SIDE, SIDE, width // SIDE, SIDE).transpose(0, 1, 3, 2, 4)
    flat = places.reshape(k, height // SIDE, width // SIDE, SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=3, keepdims=True)
    contrast = np.sqrt(np.square(flat).mean(axis=3, keepdims=True))
    return np.asarray(flat * (_MIN_CONTRAST / np.maximum(contrast, _MIN_CONTRAST)), dtype=np.float32)
