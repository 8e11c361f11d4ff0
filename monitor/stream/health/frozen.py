"""Detects a picture that repeats, and a picture that is black or covered."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

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

# An encoder whose key frames come each second changes more pictures than that. But it changes them by next to nothing,
# or sends again what it has sent before; noise never does. In 44,000 windows of 5 s of 85 real videos, day and night,
# the largest change of a pixel was never below 6 grey levels.
_RETURNS = 0.7  # share of the changes that only bring back an older picture
_EXACT = 0.8  # share of the pictures that equal the previous or an older one
_REPEATED = 0.15  # at least this share equals the previous picture ...
_ALIKE_MOST = 8  # ... or none differs by more than this: a film that is looped is not frozen
_NEARLY_MOST, _NEARLY_MEAN = 4, 0.06  # largest and mean change of a picture that is nearly the same, grey levels
_MEMORY_S = 4.0  # key frames come at least this often


@dataclass(frozen=True, slots=True)
class _Compared:
    """A picture, compared with earlier ones.

    same   equals the previous one
    again  equals an older one
    known  one of both, or nearly the same as the first of a calm time
    alike  differs little from the previous one
    """

    time_s: float
    same: bool
    again: bool
    known: bool
    alike: bool


class Frozen:
    """Detects a frozen picture: during ``after_s`` seconds nearly all pictures equal the previous one, in one scene.

    A picture that was encoded again is frozen, too: pictures that do not equal the previous one differ from it by next
    to nothing, or equal one of the last seconds.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._first: Image | None = None
        self._last: Image | None = None
        self._compared: deque[_Compared] = deque()
        self._seen: dict[int, float] = {}  # hash of a picture -> when it was last seen
        self._calm: Image | None = None  # the picture since which all were nearly the same

    def update(self, time_s: float, look: Look) -> bool:
        """Whether the picture at ``time_s`` is frozen."""
        sample = _sample(look.sample)
        if self._first is None or self._last is None or self._is_another_scene(sample):
            self._first = self._last = self._calm = sample
            self._compared.clear()
            self._seen.clear()
            self._on = False
            return False
        self._compared.append(self._compare(time_s, sample, self._last))
        self._last = sample
        while len(self._compared) > _FEWEST and time_s - self._compared[1].time_s >= self._after_s:
            self._compared.popleft()
        count = len(self._compared)
        same = sum(each.same for each in self._compared) / count
        alike = same >= _REPEATED or all(each.alike for each in self._compared)
        known = sum(each.known for each in self._compared) / count if alike else same
        if self._on:
            self._on = known >= _SOMETIMES
        elif count >= _FEWEST and time_s - self._compared[0].time_s >= self._after_s:
            self._on = same > _MOSTLY or known == 1.0 or (alike and self._only_returns(count))
        return self._on

    def _only_returns(self, count: int) -> bool:
        changes = sum(not each.same for each in self._compared)
        returns = sum(each.again and not each.same for each in self._compared)
        return returns >= _RETURNS * changes and count - changes + returns >= _EXACT * count

    def _compare(self, time_s: float, sample: Image, last: Image) -> _Compared:
        same = np.array_equal(sample, last)
        number = hash(sample.tobytes())
        again = time_s - self._seen.get(number, -math.inf) <= _MEMORY_S
        if not same:  # the picture before is old from now on: only what comes back counts
            self._seen = {key: at_s for key, at_s in self._seen.items() if time_s - at_s <= _MEMORY_S}
        self._seen[number] = time_s
        # Compared with the first of them, so that slow changes add up.
        if self._calm is None or not _is_nearly(sample, self._calm):
            self._calm = sample
            return _Compared(time_s, same, again, same or again, same or _differs(sample, last) <= _ALIKE_MOST)
        return _Compared(time_s, same, again, known=True, alike=True)

    def _is_another_scene(self, sample: Image) -> bool:
        if self._first is None or self._first.shape != sample.shape:
            return True
        return float(cv2.norm(sample, self._first, cv2.NORM_L1)) > _SAME_SCENE * sample.size


def _is_nearly(sample: Image, first: Image) -> bool:
    if _differs(sample, first) > _NEARLY_MOST:
        return False
    return float(cv2.norm(sample, first, cv2.NORM_L1)) <= _NEARLY_MEAN * sample.size


def _differs(sample: Image, other: Image) -> float:
    """The largest difference of a pixel, grey levels."""
    return float(cv2.norm(sample, other, cv2.NORM_INF)) if sample.shape == other.shape else math.inf


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
