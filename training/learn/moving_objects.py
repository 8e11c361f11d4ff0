"""Cuts moving objects out of normal footage along their path and pastes them into other frames of the same scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.true_sight2.clip_inputs import SIZE
from monitor.types import FloatArray, Image

_FOREGROUND = 16  # a pixel is part of an object if it differs from the background by more grey levels than this
_LEAST_AREA, _MOST_AREA, _MOST_SIDE = 10, 1500, 56  # limits of an object, pixels
_MOST_OBJECTS = 4  # per clip
_WIDTH, _HEIGHT = SIZE
_Number = TypeVar("_Number", np.uint8, np.float32)
_SQUARE = np.ones((3, 3), np.uint8)


class Sample(NamedTuple):
    """A clip as the input of the network.

    now, earlier  (96, 160) uint8, and four older frames, youngest first
    ages_s        ages of the four older frames, seconds
    background    (96, 160) float32 grey levels
    recent        (96, 160) float32 grey levels
    mask          (96, 160) bool, True where ``now`` is abnormal
    """

    now: Image
    earlier: list[Image]
    ages_s: list[float]
    background: FloatArray
    recent: FloatArray
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MovingObject:
    """An object that moved in normal footage, cut out of the five frames of a clip along its path.

    pixels    (5, h, w) uint8, the present frame first
    masks     (5, h, w) uint8, 0..255, with soft edges
    centre    (x, y) px in the present frame
    velocity  (x, y) px/s
    """

    pixels: Image
    masks: Image
    centre: tuple[float, float]
    velocity: tuple[float, float]


def foreground(picture: Image, background: FloatArray) -> Image:
    """Mask of where a frame (h, w) differs from the background (h, w): uint8, 0 or 1."""
    different = np.abs(cv2.blur(picture.astype(np.float32) - background, (2, 2))) > _FOREGROUND
    closed = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_CLOSE, _SQUARE)
    return np.asarray(closed, np.uint8)


def cut_out(sample: Sample, flow: FloatArray) -> list[MovingObject]:
    """Cut the moving objects out of a clip, at most four. flow: optical flow, (96, 160, 2) px/s."""
    frames = [sample.now, *sample.earlier]
    ages = [0.0, *sample.ages_s]
    masks = [foreground(frame, sample.background) for frame in frames]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(masks[0])
    changed = cv2.absdiff(sample.now, sample.earlier[1])
    found: list[MovingObject] = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[label])
        # Skip a crowd or its outline: pasted elsewhere, it would look like nothing that exists.
        if not _LEAST_AREA <= area <= _MOST_AREA or max(w, h) > _MOST_SIDE or area < 0.3 * w * h:
            continue
        inside = labels == label
        if changed[inside].mean() < 5 or len(found) == _MOST_OBJECTS:
            continue
        velocity = np.median(flow[inside], axis=0)
        margin = 2 + max(w, h) // 8
        width, height = w + 2 * margin, h + 2 * margin
        centre = (x + (w - 1) / 2, y + (h - 1) / 2)
        pixels, alphas = [], []
        for frame, mask, age in zip(frames, masks, ages, strict=True):
            if age == 0:
                mask = inside.astype(np.uint8)
            there = (centre[0] - float(velocity[0]) * age, centre[1] - float(velocity[1]) * age)
            soft = cv2.GaussianBlur(cv2.dilate(mask, _SQUARE) * np.float32(255), (0, 0), 0.6)
            pixels.append(_patch(frame, there, (width, height)))
            alphas.append(_patch(np.clip(soft, 0, 255).astype(np.uint8), there, (width, height)))
        found.append(MovingObject(np.stack(pixels), np.stack(alphas), centre, (float(velocity[0]), float(velocity[1]))))
    return found


def _patch(image: Image, centre: tuple[float, float], size: tuple[int, int]) -> Image:
    """The part of an image around a centre, with subpixel precision. Outside the image, its edge is repeated.

    size: (width, height) px
    """
    matrix = np.array([[1, 0, centre[0] - (size[0] - 1) / 2], [0, 1, centre[1] - (size[1] - 1) / 2]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class Placed(NamedTuple):
    """A patch at its place in a frame.

    where   rows and columns
    pixels  float32 grey levels of the patch there
    share   float32 share of the patch in every pixel, 0..1
    """

    where: tuple[slice, slice]
    pixels: FloatArray
    share: FloatArray


def place(pixels: Image, mask: Image, centre: tuple[float, float], scale: tuple[float, float]) -> Placed:
    """Scale a patch and place it around a centre, with subpixel precision. Parts outside the frame are cut off."""
    height, width = pixels.shape
    sx, sy = scale
    left, top = centre[0] - sx * (width - 1) / 2, centre[1] - sy * (height - 1) / 2
    x0, y0 = int(np.clip(np.floor(left - sx), 0, _WIDTH)), int(np.clip(np.floor(top - sy), 0, _HEIGHT))
    x1 = int(np.clip(np.ceil(left + sx * width) + 1, x0, _WIDTH))
    y1 = int(np.clip(np.ceil(top + sy * height) + 1, y0, _HEIGHT))
    where = (slice(y0, y1), slice(x0, x1))
    if x1 == x0 or y1 == y0:
        nothing = np.zeros((y1 - y0, x1 - x0), np.float32)
        return Placed(where, nothing, nothing)
    matrix = np.array([[sx, 0, left - x0], [0, sy, top - y0]], np.float64)
    size = (x1 - x0, y1 - y0)
    placed = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)
    return Placed(where, placed.astype(np.float32), share.astype(np.float32) * np.float32(1 / 255))


def blend(picture: NDArray[_Number], placed: Placed, lighter: float = 0.0) -> NDArray[_Number]:
    """A copy of the frame that contains the patch, with ``lighter`` added to the grey levels of the patch."""
    out = picture.copy()
    old = out[placed.where].astype(np.float32)
    mixed = old + (placed.pixels + np.float32(lighter) - old) * placed.share
    out[placed.where] = np.clip(mixed, 0, 255).astype(picture.dtype)
    return out
