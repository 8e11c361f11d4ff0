"""Is the picture the same again and again? Is it black or covered?"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from monitor.stream.health.health_view import Look
from monitor.types import Image

# A still but noisy scene, heavily compressed, repeats up to two pictures of three for seconds on end; a picture that
# an encoder sends again and again changes only at key frames, and then by up to two grey levels in the mean.
_MOSTLY, _SOMETIMES = 0.9, 0.7
_SAME_SCENE = 3.0
_FEWEST = 5
_SAMPLE = (72, 128)  # at least so many rows and columns are compared, where the picture has them


class Frozen:
    """True while nearly all pictures of the last ``after_s`` seconds equal the one before, in one scene."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._first: Image | None = None
        self._last: Image | None = None
        self._same: deque[tuple[float, bool]] = deque()  # (seconds, equal to the picture before)

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
    """Whether a picture is black (mean grey level and their standard deviation below these) or covered (flat)."""
    level, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(look.grey))
    return (level < mean and deviation < spread) or deviation < flat_spread


def _sample(image: Image) -> Image:
    """Every k-th pixel of every k-th row, in memory of its own: a reader may use the frame's again."""
    step = max(1, min(image.shape[0] // _SAMPLE[0], image.shape[1] // _SAMPLE[1]))
    if step == 1:
        return image.copy()
    size = (image.shape[1] // step, image.shape[0] // step)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
