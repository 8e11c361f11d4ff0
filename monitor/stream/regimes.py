"""Determines the regime of a camera's picture, and detects when the light has just been switched.

If a camera changes to infrared, or if the light in its room is switched, it shows a different picture of the same
scene. That picture is compared with what was learned in the same regime. While the exposure still adapts, scores mean
little. This module is pure: it reads no clock and uses the stream's own times. All values are computed on a picture of
16x8 blocks, which takes about 0.1 ms per frame.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from monitor.types import FloatArray, Image

COLUMNS, ROWS = 16, 8
"""Number of blocks that a picture is averaged into."""

_DARK_MEAN = 16.0  # mean of the picture, grey levels; below it, noise hides both colour and shape
_MIN_CHROMA = 2.0  # difference between the channels, mean of the blocks, grey levels: infrared about 0.3, colour > 10
_HYSTERESIS = 1.5  # a regime ends only when its limit is passed by this factor
_MIN_CHANGE = 6.0  # a block has changed if its mean differs by more than this, grey levels
_GLOBAL_SHARE = 0.85  # if more than this share of the blocks changes, the cause is the light, not an object
_RESTLESS_SHARE = 0.25  # if more than this share of the blocks still changes within 1 s, the exposure has not settled
_LOOK_BACK_S = 1.0
_SETTLE_S = 5.0  # settling time after the last change
_FLASH_S = 0.8  # if the picture of before is back after a shorter time, it was a flash: there is nothing to settle
_BACK_S = 0.3  # ... as soon as it has been back for this long
_LONGEST_S = 20.0  # maximum settling time; then a picture that never settles (flicker, swinging camera) is scored


class Regime(StrEnum):
    """How the camera sees. Each value is also the word shown to the user."""

    COLOUR = "colour"
    GREY = "grey"
    """Infrared, or a camera without colour."""
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Light:
    """The light of one frame.

    regime    the regime of the picture
    switched  True if the whole picture differs from the picture 1 s before, or if the regime has just changed
    settling  True from that frame until the picture has been steady for 5 s, at most 20 s: scores mean little. After a
              flash, only until the picture of before has been back for 0.3 s
    """

    regime: Regime
    switched: bool
    settling: bool


def small_picture(image: Image) -> FloatArray:
    """(8, 16, 3) float32 BGR: the block means, 0..255, of an image (H, W, 3) uint8 BGR of any size."""
    # 8x8 pixels are enough for a block's mean. Averaging all pixels of a large picture would take milliseconds.
    step = max(1, min(image.shape[0] // (8 * ROWS), image.shape[1] // (8 * COLUMNS)))
    sample = image[step // 2 :: step, step // 2 :: step].astype(np.float32)
    return np.asarray(cv2.resize(sample, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), dtype=np.float32)


def regime_of(picture: FloatArray, before: Regime | None = None) -> Regime:
    """The regime of a small picture (8, 16, 3). ``before``, the previous regime, adds hysteresis near the limits."""

    def below(value: float, limit: float, regime: Regime) -> bool:
        margin = 1.0 if before is None else _HYSTERESIS if before is regime else 1 / _HYSTERESIS
        return value < limit * margin

    if below(float(picture.mean()), _DARK_MEAN, Regime.DARK):
        return Regime.DARK
    chroma = float((picture.max(axis=2) - picture.min(axis=2)).mean())
    return Regime.GREY if below(chroma, _MIN_CHROMA, Regime.GREY) else Regime.COLOUR


def regime_number(image: Image) -> int:
    """The regime of an image, (H, W, 3) uint8 BGR, as an index in ``tuple(Regime)``."""
    return tuple(Regime).index(regime_of(small_picture(image)))


def changed_share(before: FloatArray, now: FloatArray) -> float:
    """The share of blocks, 0..1, with a changed mean grey level, between two small pictures (8, 16, 3)."""
    change = np.abs(now.mean(axis=2) - before.mean(axis=2))
    return float((change > _MIN_CHANGE).mean())


class LightWatch:
    """Follows the light of one camera. Call ``update`` once for each analysed frame, in order of time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the past, after a gap or a reconnect: the next frames are unrelated to the earlier ones."""
        self._past: deque[tuple[float, FloatArray]] = deque()
        self._regime: Regime | None = None
        self._began_s = -math.inf  # start of the present or last settling
        self._until_s = self._switched_s = -math.inf  # end of the settling; start of its last switch
        self._first_s: float | None = None  # of the stream
        self._before: FloatArray | None = None  # the picture before the switch, while it may be a flash
        self._regime_before: Regime | None = None
        self._back_s: float | None = None  # since when that picture is back
        self._flashes_s: float | None = None  # start of the first of several flashes, one soon after the other

    def update(self, time_s: float, picture: FloatArray) -> Light:
        """The light of the frame at ``time_s``; picture: see ``small_picture``."""
        regime = regime_of(picture, self._regime)
        while self._past and time_s - self._past[0][0] > _LOOK_BACK_S + 1e-6:
            self._past.popleft()
        share = changed_share(self._past[0][1], picture) if self._past else 0.0
        switched = share > _GLOBAL_SHARE or self._regime not in (None, regime)
        settling = time_s < self._until_s
        if switched and self._began_with_flash():
            self._past.clear()
            switched = False
        elif switched and not settling and time_s >= self._until_s + self._rest_s():
            self._begin(time_s)
            settling = True
        elif settling and self._is_flash_over(time_s, picture, regime):
            settling = False
        elif settling and (switched or share > _RESTLESS_SHARE):
            self._until_s = min(time_s + _SETTLE_S, self._began_s + _LONGEST_S)
        self._past.append((time_s, picture))
        self._regime = regime
        if self._first_s is None:
            self._first_s = time_s
        return Light(regime, switched, settling)

    def _began_with_flash(self) -> bool:
        """Whether all pictures before this one were seen for less than 0.3 s at the start: they say nothing."""
        return bool(self._past) and self._past[0][0] == self._first_s and self._past[-1][0] - self._first_s < _BACK_S

    def _begin(self, time_s: float) -> None:
        self._before, self._back_s = (self._past[-1][1] if self._past else None), None
        self._regime_before = self._regime
        # A flicker without end is scored after a while, too, so flashes that follow each other count as one settling.
        again = self._flashes_s is not None and time_s - self._until_s < _SETTLE_S
        self._began_s = self._flashes_s if again and self._flashes_s is not None else time_s
        self._flashes_s = self._began_s
        self._switched_s = time_s
        self._until_s = min(time_s + _SETTLE_S, max(self._began_s + _LONGEST_S, time_s))

    def _is_flash_over(self, time_s: float, picture: FloatArray, regime: Regime) -> bool:
        """Whether the picture of before the switch has come back at once, and stays. Forgets the flash then."""
        if self._before is None:
            return False
        if regime is not self._regime_before or changed_share(self._before, picture) > _RESTLESS_SHARE:
            self._back_s = None
        elif self._back_s is None:
            self._back_s = time_s
        began_s = self._switched_s
        if (time_s if self._back_s is None else self._back_s) - began_s > _FLASH_S - 1e-6:
            self._before = self._flashes_s = None  # it lasts
            return False
        if self._back_s is None or time_s - self._back_s < _BACK_S - 1e-6:
            return False
        while self._past and self._past[0][0] < self._back_s:
            self._past.popleft()
        self._until_s, self._before = time_s, None
        return True

    def _rest_s(self) -> float:
        """Seconds after a settling in which no new settling starts: 20 s if the picture did not settle, otherwise 0."""
        return _LONGEST_S if self._until_s >= self._began_s + _LONGEST_S else 0.0
