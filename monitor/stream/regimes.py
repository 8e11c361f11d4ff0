"""Which regime a camera's picture belongs to, and when its light has just been switched.

A camera that changes to infrared, or whose room is lit, shows another picture of the same scene: it is compared with
what was learned under the same regime, and no score means much while its exposure still settles. Pure: no clock, times
are the stream's own. Everything is worked out on a picture of 16x8 blocks and costs some 0.1 ms a frame.
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
"""Blocks that a picture is averaged into."""

_DARK_MEAN = 16.0  # grey levels, mean of the picture: below, neither colour nor shape can be told from noise
_MIN_CHROMA = 2.0  # grey levels between the channels, mean of the blocks: infrared shows some 0.3, colour above 10
_HYSTERESIS = 1.5  # a regime is left only beyond this factor of its limit
_MIN_CHANGE = 6.0  # grey levels by which a changed block's mean has changed
_GLOBAL_SHARE = 0.85  # of the blocks changed: no object does that, light does
_RESTLESS_SHARE = 0.25  # of the blocks still changing within a second: the exposure has not settled
_LOOK_BACK_S = 1.0
_SETTLE_S = 5.0  # after the last change
_LONGEST_S = 20.0  # a picture that never settles (a flicker, a camera that swings) is judged all the same


class Regime(StrEnum):
    """How the camera sees; each value is the word for people."""

    COLOUR = "colour"
    GREY = "grey"
    """Infrared, or a camera without colour."""
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Light:
    """What is to be said of one frame's light.

    regime    the regime of the picture
    switched  True on the frame that differs from the second before it as a whole, or is of another regime
    settling  True from there until the picture has been steady for 5 s, for 20 s at most: no score means much
    """

    regime: Regime
    switched: bool
    settling: bool


def small_picture(image: Image) -> FloatArray:
    """(8, 16, 3) float32 BGR: the block means, 0..255, of an image (H, W, 3) uint8 BGR of any size."""
    # A block's mean needs no more than 8x8 of its pixels, and averaging all of a large picture takes milliseconds.
    step = max(1, min(image.shape[0] // (8 * ROWS), image.shape[1] // (8 * COLUMNS)))
    sample = image[step // 2 :: step, step // 2 :: step].astype(np.float32)
    return np.asarray(cv2.resize(sample, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), dtype=np.float32)


def regime_of(picture: FloatArray, before: Regime | None = None) -> Regime:
    """The regime of a small picture (8, 16, 3); with the regime ``before``, one near the limit does not flicker."""

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
    """Share of the blocks, 0..1, whose mean grey level has changed between two small pictures (8, 16, 3)."""
    change = np.abs(now.mean(axis=2) - before.mean(axis=2))
    return float((change > _MIN_CHANGE).mean())


class LightWatch:
    """One camera's light. ``update`` takes each analysed frame once, in order of time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """What follows has nothing to do with what came before: a gap, a reconnect."""
        self._past: deque[tuple[float, FloatArray]] = deque()
        self._regime: Regime | None = None
        self._began_s = -math.inf  # when the present or last settling began
        self._until_s = -math.inf

    def update(self, time_s: float, picture: FloatArray) -> Light:
        """What there is to say of the frame at ``time_s``; picture: see ``small_picture``."""
        regime = regime_of(picture, self._regime)
        while self._past and time_s - self._past[0][0] > _LOOK_BACK_S + 1e-6:
            self._past.popleft()
        share = changed_share(self._past[0][1], picture) if self._past else 0.0
        switched = share > _GLOBAL_SHARE or self._regime not in (None, regime)
        settling = time_s < self._until_s
        if switched and not settling and time_s >= self._until_s + self._rest_s():
            self._began_s, settling = time_s, True
            self._until_s = time_s + _SETTLE_S
        elif settling and (switched or share > _RESTLESS_SHARE):
            self._until_s = min(time_s + _SETTLE_S, self._began_s + _LONGEST_S)
        self._past.append((time_s, picture))
        self._regime = regime
        return Light(regime, switched, settling)

    def _rest_s(self) -> float:
        """Seconds to be judged before scores may be held again: after a picture that did not settle, as long again."""
        return _LONGEST_S if self._until_s >= self._began_s + _LONGEST_S else 0.0
