"""The front end shared by the detectors that use motion: grey picture, optical flow, background, block sums.

Everything is computed once per frame, on a picture about 160 px wide. Flow is in px per second, so the meaning of the
values does not depend on dropped frames or on the analysis rate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.motion.steady_motion import SteadyMotion
from monitor.types import FloatArray, Frame, Image

BLOCK = 4
"""Side of a block, px of the grey picture."""
BINS = 8  # a power of two
"""Directions of motion: bin k is centred on k * 45 degrees. Bin 0 is to the right; angles increase clockwise."""

_MIN_LAG_S = 0.07  # minimum age of the earlier frame: a walker then moves about one pixel, at any frame rate
_MAX_LAG_S = 0.6  # maximum age of the earlier frame; with older frames the flow is meaningless
_MAX_SLOW_LAG_S = 2.6  # ... and without flow: enough for one frame in two seconds
_REPEATED = 2  # a picture that differs from the one before by at most this many grey levels everywhere repeats it
_MIN_FLOW_PX = 0.075  # below this displacement, flow is noise
_MIN_CHANGE = 10  # below this change, grey levels, flow is noise
# If more than this share of the change remains after moving the picture along the flow, the flow is wrong. A much lower
# limit would also reject the flow of thin, fast objects, which is never exact. On real footage these objects matter.
_MAX_UNEXPLAINED = 0.8
_MIN_FOREGROUND = 22  # minimum difference from the background, grey levels
_SQUARE = np.ones((3, 3), np.uint8)
_LEARN_PER_S = 0.8  # maximum change of the background, grey levels per second
_RESET_SHARE = 0.5  # if more than this share of the picture is foreground, the background shows another scene


@dataclass(frozen=True, eq=False)
class View:
    """The measurements of the front end for one frame, summed over blocks of 4x4 px of the grey picture.

    grey        (h, w) uint8, the grey picture
    lag_s       age of the earlier frame that the motion is measured from, seconds
    followed    True if that frame is recent enough for optical flow. If not, everything is 0 but ``moving`` and
                ``changed`` (pixels of the foreground that have changed), ``change`` and ``foreground``
    flow        (h/4, w/4, 8) float32: sum of the speeds of the moving pixels, per direction bin, px/s
    speed       (h/4, w/4) float32: sum of the speeds of the moving pixels, px/s
    speed2      (h/4, w/4) float32: sum of the squared speeds of the moving pixels
    course      (h/4, w/4, 2) float32: sum of the velocities of the moving pixels over the last seconds (SteadyMotion),
                px/s
    steady      (h/4, w/4) float32: sum of the speeds of the moving pixels over the last seconds, px/s
    steady2     (h/4, w/4) float32: sum of the squares of these speeds
    moving      (h/4, w/4) float32: number of moving pixels, 0..16
    changed     (h/4, w/4) float32: number of changed pixels, moving or not explained by the flow, 0..16
    change      (h/4, w/4) float32: sum of the absolute grey change since the earlier frame
    foreground  (h/4, w/4) float32: number of pixels that differ from the background, 0..16
    """

    grey: Image
    lag_s: float
    followed: bool
    flow: FloatArray
    speed: FloatArray
    speed2: FloatArray
    course: FloatArray
    steady: FloatArray
    steady2: FloatArray
    moving: FloatArray
    changed: FloatArray
    change: FloatArray
    foreground: FloatArray


def analysis_size(width: int, height: int, target: int = 160, multiple: int = 8) -> tuple[int, int]:
    """(width, height), px, for the analysis of a picture of this size: width near ``target``, both are multiples."""
    w = max(multiple, round(target / multiple) * multiple)
    return w, max(2 * multiple, round(height * w / width / multiple) * multiple)


class _Past(NamedTuple):
    """An earlier picture: (h, w) uint8 grey, and smoothed."""

    time_s: float
    grey: Image
    blurred: Image


def fast_median(values: NDArray[Any]) -> Any:
    """The median along the first axis. Equal to ``numpy.median``, but three times as fast for so few values."""
    half, odd = divmod(len(values), 2)
    ordered = values.copy()
    if odd:
        ordered.partition(half, axis=0)
        return ordered[half]
    ordered.partition((half - 1, half), axis=0)
    return (ordered[half - 1] + ordered[half]) / 2


class FrontEnd:
    """Processes the frames of one camera, in order of time. One object per stream; it keeps a few recent grey pictures.

    background  (h, w) grey levels of the empty scene in training; h and w are multiples of 8
    slow        True to compare with frames that are too old for optical flow, also if there are younger ones
    """

    def __init__(self, background: NDArray[np.generic], *, slow: bool = False) -> None:
        self._least_lag_s = _MAX_LAG_S if slow else _MIN_LAG_S
        self._most_lag_s = 0.0 if slow else _MAX_LAG_S  # for optical flow
        self._background = background.astype(np.float32)
        self._past: deque[_Past] = deque()
        self._moving: View | None = None  # the view of the newest picture, if something moves in it
        # Patches of 8 px, 4 px apart, at half the picture's size. Smoothing the flow costs more time than it is worth.
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(1)
        self._flow.setPatchSize(8)
        self._flow.setPatchStride(4)
        self._flow.setVariationalRefinementIterations(0)
        height, width = background.shape
        self._steady = SteadyMotion((height, width))
        pixel = np.arange(height * width)
        self._block = pixel // width // BLOCK * (width // BLOCK) + pixel % width // BLOCK  # block number of each pixel
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the grey picture, px."""
        height, width = self._background.shape
        return width, height

    def update(self, frame: Frame) -> View | None:
        """Process the next frame; None if there is no earlier frame, 0.07 to 2.6 s before, to compare with.

        Cameras and converters repeat pictures to keep a rate. Where something moves, and the next picture within 0.6 s
        is the same, that is such a repetition: it gets the same view. The next new picture is compared with the
        pictures before, over the time that has really passed. Otherwise motion would be zero, then twice as fast.
        """
        return self.update_grey(frame.small.grey(self.size), frame.time_s)

    def update_grey(self, grey: Image, time_s: float) -> View | None:
        """Like ``update``, for a grey picture (h, w) uint8 of this front end's size."""
        if self._moving is not None:
            newest = self._past[-1]
            if time_s - newest.time_s <= _MAX_LAG_S and int(cv2.absdiff(grey, newest.grey).max()) <= _REPEATED:
                return self._moving
        foreground = self._look_at_background(grey, time_s)
        while len(self._past) > 1 and time_s - self._past[1].time_s >= self._least_lag_s:
            self._past.popleft()
        earlier = self._past[0] if self._past else None
        now = _Past(time_s, grey, np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), np.uint8))
        self._past.append(now)
        if earlier is None or not self._least_lag_s <= time_s - earlier.time_s <= _MAX_SLOW_LAG_S:
            self._moving = None
            return None
        followed = time_s - earlier.time_s <= self._most_lag_s
        change = cv2.absdiff(grey, earlier.grey)
        around = np.asarray(cv2.blur(change, (3, 3)), np.uint8)
        changed = cv2.dilate(around, _SQUARE) >= _MIN_CHANGE
        # Most of the time nothing happens in front of a camera; then the flow is not needed.
        if not followed:
            changed &= foreground > 0  # where something was before, the background has changed, too
            motion = _still(grey.shape) | {"moving": _block_sum(changed)}
            self._steady.rest()
        elif changed.any():
            motion = self._motion(now, earlier, around, changed)
        else:
            motion = _still(grey.shape)
            self._steady.rest()
        view = View(
            grey=grey,
            lag_s=time_s - earlier.time_s,
            followed=followed,
            **motion,
            changed=_block_sum(changed),
            change=_block_sum(change),
            foreground=_block_sum(foreground),
        )
        self._moving = view if followed and changed.any() else None
        return view

    def _motion(self, now: _Past, earlier: _Past, around: Image, changed: NDArray[np.bool_]) -> dict[str, FloatArray]:
        """The sums of a view over the moving pixels. around: mean change around each pixel, grey levels."""
        grey, lag_s = now.grey, now.time_s - earlier.time_s
        flow = self._flow.calc(earlier.blurred, now.blurred, np.zeros((*grey.shape, 2), np.float32))
        right, down = (np.asarray(part, np.float32) for part in cv2.split(flow))
        # If the flow does not explain the change, it is wrong, because of occlusion or a too large step.
        there = cv2.remap(grey, self._x + right, self._y + down, cv2.INTER_LINEAR)
        unexplained = cv2.blur(cv2.absdiff(earlier.grey, there), (3, 3))
        for part in (right, down):  # a shaking camera moves the whole picture equally
            part -= fast_median(part[::8, ::8].ravel())
        speed, angle = cv2.cartToPolar(right, down)
        moves = (speed > _MIN_FLOW_PX) & changed & (unexplained < _MAX_UNEXPLAINED * around)
        moving = np.flatnonzero(moves)
        course = self._steady.update((right, down), moves, moving, now.time_s, lag_s)
        # Not cv2.magnitude: the last bit of its result depends on the memory addresses of the arrays.
        going = np.sqrt(course[0] * course[0] + course[1] * course[1])
        rows, columns = grey.shape[0] // BLOCK, grey.shape[1] // BLOCK
        block = self._block[moving]
        fast = speed.ravel()[moving] / np.float32(lag_s)
        bins = np.rint(angle.ravel()[moving] * (BINS / (2 * np.pi))).astype(np.int64) & (BINS - 1)

        def total(index: NDArray[np.int64], weights: FloatArray | None, per_block: int = 1) -> FloatArray:
            sums = np.bincount(index, weights, rows * columns * per_block)
            return sums.astype(np.float32).reshape(rows, columns, -1)

        return {
            "flow": total(block * BINS + bins, fast, BINS),
            "speed": total(block, fast)[..., 0],
            "speed2": total(block, fast**2)[..., 0],
            "course": np.concatenate([total(block, way) for way in course], axis=2),
            "steady": total(block, going)[..., 0],
            "steady2": total(block, going**2)[..., 0],
            "moving": total(block, None)[..., 0],
        }

    def _look_at_background(self, grey: Image, time_s: float) -> Image:
        """Foreground (h, w) uint8, 0 or 1. The background follows slowly, or at once if the scene has changed."""
        picture = grey.astype(np.float32)
        ratio = picture[::4, ::4] / np.maximum(self._background[::4, ::4], 8.0)
        gain = max(float(fast_median(ratio.ravel())), 0.1)
        difference = picture / np.float32(gain) - self._background
        foreground = (np.abs(cv2.blur(difference, (3, 3))) >= _MIN_FOREGROUND).astype(np.uint8)
        if foreground.mean() > _RESET_SHARE:
            self._background = picture
            return np.zeros_like(foreground)
        if self._past:
            step = np.float32(_LEARN_PER_S * min(time_s - self._past[-1].time_s, 1.0))
            self._background = self._background + np.clip(difference, -step, step)
        return foreground


def _still(shape: tuple[int, ...]) -> dict[str, FloatArray]:
    """The sums for a picture of (h, w) px in which nothing moves."""
    blocks = (shape[0] // BLOCK, shape[1] // BLOCK)
    return {"flow": np.zeros((*blocks, BINS), np.float32), "course": np.zeros((*blocks, 2), np.float32)} | {
        name: np.zeros(blocks, np.float32) for name in ("speed", "speed2", "steady", "steady2", "moving")
    }


def _block_sum(image: NDArray[Any]) -> FloatArray:
    small = (image.shape[1] // BLOCK, image.shape[0] // BLOCK)
    return np.asarray(cv2.resize(image.astype(np.float32), small, interpolation=cv2.INTER_AREA) * BLOCK**2)
