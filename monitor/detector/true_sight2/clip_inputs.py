"""The inputs of True Sight 2: a frame, its backgrounds, its differences from the frames of the last 0.4 s, and flow.

Frames are grey and 160x96 px, independent of the camera's picture size and aspect ratio. Earlier frames are chosen by
their age in seconds. So dropped frames or a different analysis rate hardly change the meaning of the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.frontend import fast_median
from monitor.types import FloatArray, Image

SIZE = (160, 96)
"""(width, height) of the input picture, px."""
LAGS_S = (0.1, 0.2, 0.3, 0.4)
"""Ages of the earlier frames of a clip, seconds. For each age, the frame with the nearest age is used."""
CHANNELS = 15
LEAST_SPAN_S = 0.24
"""Minimum age of the clip's oldest frame, seconds; a shorter clip shows no motion."""
MOST_SPAN_S = 0.82
"""Maximum age of the clip's oldest frame, seconds; older frames are too different from the present one."""

SLOW_PER_S = 12.0
"""Maximum change of the recent background, grey levels per second: a person who stands still for some seconds becomes
part of it."""

_SAME = 5  # a place has not changed if its slightly smoothed value changes by at most this, grey levels
_GREY = np.float32(1 / 24)  # scale of differences, per grey level: camera noise becomes small, a person does not
_UNEXPLAINED = np.float32(1 / 16)


def choose(times: Sequence[float] | NDArray[np.float64], now: float, speed: float = 1.0) -> list[int] | None:
    """Indices of the earlier frames of a clip that ends at ``now``: the ages nearest to LAGS_S, youngest first.

    times: times of the earlier frames, ascending, seconds, all before ``now``; speed: factor by which the clip is shown
    too fast. None if the frames are too few, too recent or too old.
    """
    ages = now - np.asarray(times, dtype=np.float64)
    if not len(ages):
        return None
    wanted = np.array(LAGS_S) * speed
    # In a tie, prefer the later frame by one millisecond. Otherwise rounding errors would decide.
    found = np.abs(ages[None, :] - wanted[:, None] + 1e-3 * (ages[None, :] > wanted[:, None])).argmin(axis=1)
    if not LEAST_SPAN_S <= ages[found[-1]] / speed <= MOST_SPAN_S:
        return None
    return [int(i) for i in found]


class ClipInputs:
    """Computes the network's inputs. One object per stream, because the optical flow has internal buffers."""

    def __init__(self, usual_speed: FloatArray | None = None) -> None:
        """usual_speed: (rows, columns), a coarse grid with the upper normal speed at each place, px/s, above 0.

        Flow is divided by it, because a speed that is high far from the camera is low near it. Default: 10 px/s
        everywhere.
        """
        if usual_speed is None:
            usual_speed = np.full((2, 2), 10, np.float32)
        self._per_speed = 1 / cv2.resize(usual_speed, SIZE, interpolation=cv2.INTER_LINEAR)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        width, height = SIZE
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._place = np.stack([self._y / height * 2 - 1, self._x / width * 2 - 1])

    def __call__(
        self, now: Image, earlier: Sequence[Image], ages_s: Sequence[float], background: FloatArray, recent: FloatArray
    ) -> FloatArray:
        """(CHANNELS, 96, 160) float32.

        now         (96, 160) uint8
        earlier     four earlier pictures, (96, 160) uint8, youngest first
        ages_s      ages of the earlier pictures, seconds, > 0
        background  (96, 160) grey levels of the empty scene
        recent      (96, 160) grey levels of the background of the last seconds
        """
        out = np.empty((CHANNELS, *now.shape), np.float32)
        picture = now.astype(np.float32)
        np.multiply(picture - 128, np.float32(1 / 64), out=out[0])
        others: list[NDArray[Any]] = [background, recent, earlier[0], earlier[1], earlier[3]]
        for channel, other in enumerate(others, start=1):
            np.multiply(picture - other, _GREY, out=out[channel])
        for channel, k in ((6, 1), (9, 3)):
            flow = self.motion(now, earlier[k])
            right, down = cv2.split(flow, (out[channel], out[channel + 1]))
            there = cv2.remap(earlier[k], self._x + right, self._y + down, cv2.INTER_LINEAR)
            for part in (out[channel], out[channel + 1]):
                part -= fast_median(part[::6, ::6].ravel())  # a shaking camera moves the whole picture equally
                part *= self._per_speed
                part *= np.float32(1 / ages_s[k])
            # The change that the flow does not explain.
            np.multiply(picture - there, _UNEXPLAINED, out=out[channel + 2])
        # Not cv2.magnitude: its last bit depends on memory addresses, so two training runs would differ.
        np.sqrt(out[9] * out[9] + out[10] * out[10], out=out[12])
        out[13:] = self._place
        np.clip(out, -4, 4, out=out)
        return out

    def motion(self, now: Image, then: Image) -> FloatArray:
        """Dense optical flow from ``now`` back to ``then``, (h, w, 2) px."""
        return np.asarray(self._flow.calc(now, then, np.zeros((*now.shape, 2), np.float32)), dtype=np.float32)


def settled(pictures: Sequence[Image], background: FloatArray) -> FloatArray:
    """The recent background at the start of a stream, (96, 160) grey levels. It contains everything that stands still.

    pictures: the first pictures, (96, 160) uint8, over LEAST_SPAN_S or more. Where something moves in them, the trained
    background is used. Without this start value, people who already stand there when a camera is opened would look as
    if they had just appeared.
    """
    stack = np.stack([cv2.blur(picture, (3, 3)) for picture in pictures])
    moves = cv2.dilate((np.ptp(stack, axis=0) > _SAME).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(moves, background, pictures[-1].astype(np.float32))


def follow(recent: FloatArray, grey: Image, step_s: float) -> FloatArray:
    """The recent background, updated with the next frame, ``step_s`` seconds later."""
    step = np.float32(SLOW_PER_S * min(max(step_s, 0.0), 1.0))
    return np.asarray(recent + np.clip(grey - recent, -step, step), dtype=np.float32)
