"""Detects a picture that repeats, and a picture that is black or covered."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from monitor.stream.health.health_view import Look
from monitor.types import Image

# With strong compression, a still but noisy scene repeats up to two of three pictures, for many seconds. A picture that
# an encoder sends repeatedly changes only at key frames, and then by up to two grey levels in the mean.
_MOSTLY, _SOMETIMES = 0.9, 0.7
_SAME_SCENE = 3.0
_FEWEST = 5
_SAMPLE = (72, 128)  # minimum rows and columns that are compared, if the picture has that many


class Frozen:
    """Detects a frozen picture: during ``after_s`` seconds nearly all pictures equal the previous one, in one scene."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._first: Image | None = None
        self._last: Image | None = None
        self._same: deque[tuple[float, bool]] = deque()  # (seconds, equal to the previous picture)

    def update(self, time_s: float, look: Look) -> bool:
        """Whether the picture at ``time_s`` is frozen."""
        sample = _sample(look.sample)
        if self._first is None or self._last is None or self._is_another_scene(sample):
            self._first = self._last = sample
            self._same.clear()
            self._on = False
            return False
        self._same.append((time_s, np.array_equal(sample, self._last)))
        self._last = sample
        while len(self._same) > _FEWEST and time_s - self._same[1][0] >= self._after_s:
            self._same.popleft()
        share = sum(same for _, same in self._same) / len(self._same)
        if self._on:
            self._on = share >= _SOMETIMES
        elif len(self._same) >= _FEWEST and time_s - self._same[0][0] >= self._after_s:
            self._on = share > _MOSTLY
        return self._on

    def _is_another_scene(self, sample: Image) -> bool:
        if self._first is None or self._first.shape != sample.shape:
            return True
        return float(cv2.norm(sample, self._first, cv2.NORM_L1)) > _SAME_SCENE * sample.size


def is_dark(look: Look, mean: float, spread: float, flat_spread: float) -> bool:
    """Whether a picture is black or covered.

    mean, spread  it is black if the mean grey level and its standard deviation are both below these values
    flat_spread   it is covered if the standard deviation is below this value
    """
    level, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(look.grey))
    return (level < mean and deviation < spread) or deviation < flat_spread


def _sample(image: Image) -> Image:
    """Every k-th pixel of every k-th row, as a copy, because a reader may reuse the memory of the frame."""
    step = max(1, min(image.shape[0] // _SAMPLE[0], image.shape[1] // _SAMPLE[1]))
    if step == 1:
        return image.copy()
    size = (image.shape[1] // step, image.shape[0] // step)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
