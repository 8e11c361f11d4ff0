"""Is a camera's picture worth scoring? One verdict a frame, from the picture alone.

Pure: no threads and no clock; times are the stream's own. Costs well under half a millisecond a frame, whatever its
size, since it looks at about 10,000 pixels of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import CameraState, Health, Image

GOOD = Health()

_SAMPLE = (72, 128)  # at least so many rows and columns are looked at, where the picture has them
# A still but noisy scene, heavily compressed, repeats up to two pictures of three for seconds on end; a picture that
# an encoder sends again and again changes only at key frames, and then by up to two grey levels in the mean.
_MOSTLY, _SOMETIMES = 0.9, 0.7
_SAME_SCENE = 3.0
_FEWEST = 5
_RECOVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """When a picture is not worth scoring. Grey levels are 0..255.

    enabled         False scores every picture
    frozen_after_s  the same picture for so many seconds: frozen
    dark_after_s    black or covered for so many seconds: dark
    dark_mean       a picture is black if its mean grey level is below this ...
    dark_spread     ... and the standard deviation of its grey levels below this
    flat_spread     it is covered if their standard deviation is below this, however bright
    """

    enabled: bool = True
    frozen_after_s: float = 5.0
    dark_after_s: float = 2.0
    dark_mean: float = 20.0
    dark_spread: float = 10.0
    flat_spread: float = 3.0

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"{field.name} must be 0 or more, got {value}")


class HealthCheck:
    """One camera's verdicts. ``update`` takes each analysed frame once, in order of time."""

    def __init__(self, settings: HealthSettings | None = None) -> None:
        self.settings = settings or HealthSettings()
        self.reset()

    def reset(self) -> None:
        """What follows has nothing to do with what came before: a gap, a reconnect."""
        self._dark = _Lasting(self.settings.dark_after_s)
        self._frozen = _Frozen(self.settings.frozen_after_s)

    def update(self, time_s: float, image: Image) -> Health:
        """The verdict on the frame at ``time_s``, (H, W, 3) uint8 BGR."""
        if not self.settings.enabled:
            return GOOD
        sample = _sample(image)
        dark = self._dark.update(time_s, self._is_dark(sample))
        frozen = self._frozen.update(time_s, sample)
        if dark:
            return Health(CameraState.DARK, "the picture is black or covered: scoring pauses")
        if frozen:
            return Health(
                CameraState.FROZEN, f"the same picture for {self.settings.frozen_after_s:g} s: scoring pauses"
            )
        return GOOD

    def _is_dark(self, sample: Image) -> bool:
        mean, spread = (float(value[0, 0]) for value in cv2.meanStdDev(cv2.cvtColor(sample, cv2.COLOR_BGR2GRAY)))
        settings = self.settings
        return (mean < settings.dark_mean and spread < settings.dark_spread) or spread < settings.flat_spread


class _Lasting:
    """A condition that counts once it has held for ``after_s`` seconds, until it has not held for a second."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._since_s: float | None = None  # when the condition began to differ from what counts

    def update(self, time_s: float, condition: bool) -> bool:
        if condition is self._on:
            self._since_s = None
            return self._on
        if self._since_s is None:
            self._since_s = time_s
        if time_s - self._since_s >= (_RECOVERY_S if self._on else self._after_s):
            self._on, self._since_s = condition, None
        return self._on


class _Frozen:
    """True while nearly all pictures of the last ``after_s`` seconds equal the one before, in one scene."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._first: Image | None = None
        self._last: Image | None = None
        self._same: deque[tuple[float, bool]] = deque()  # (seconds, equal to the picture before)

    def update(self, time_s: float, sample: Image) -> bool:
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


def _sample(image: Image) -> NDArray[np.uint8]:
    """Every k-th pixel of every k-th row, contiguous."""
    step = max(1, min(image.shape[0] // _SAMPLE[0], image.shape[1] // _SAMPLE[1]))
    return np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step])
