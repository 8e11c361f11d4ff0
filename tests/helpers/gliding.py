"""A small made-up scene for tests: a textured block that glides over a textured ground, 160x96 px."""

from functools import cache

import cv2
import numpy as np

from monitor.types import Frame, Image

WIDTH, HEIGHT = 160, 96


def texture(shape: tuple[int, int], seed: int) -> Image:
    """Smooth random greys, (h, w) uint8."""
    coarse = np.random.default_rng(seed).integers(40, 210, (shape[0] // 4, shape[1] // 4)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@cache
def ground() -> Image:
    """The empty scene, (96, 160) uint8."""
    return texture((HEIGHT, WIDTH), 1) // 4 + 60


def picture(x: float, *, row: int = 40, height: int = 20, width: int = 12) -> Image:
    """The ground with a bright block, its left edge at column x (it wraps around), (96, 160, 3) uint8."""
    grey = ground().copy()
    columns = (round(x) + np.arange(width)) % WIDTH
    grey[row : row + height, columns] = texture((height, width), 2) // 2 + 120
    return np.repeat(grey[:, :, None], 3, axis=2)


def clip(speed: float, seconds: float, start: float = 0.0, rate: float = 10.0, row: int = 40) -> list[Frame]:
    """A block that moves at ``speed`` px/s."""
    times = np.arange(round(seconds * rate)) / rate
    return [Frame("a", i, float(t), picture(start + speed * t, row=row)) for i, t in enumerate(times)]
