"""Pastes things that were filmed elsewhere into recorded footage: anomalies with a known time and place.

A thing moves through the picture, or it appears and stays. Its brightness follows the picture, and it is grey where the
picture is (infrared). It moves only when the picture below changes, so repeated frames stay repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.errors import UsageError
from monitor.sources.finding import open_sources
from monitor.sources.source import Position, Reader, Source
from monitor.types import Image

_LEAST_AREA = 600  # px of a thing; smaller ones are not sharp enough
_STEPS, _EVERY = 6, 2  # pictures of a thing, and the step between them, frames
_LENGTH = _STEPS * _EVERY
_MOST_FRAMES = 1500
_DIFFERENT = 30  # a pixel belongs to a thing if a channel differs from the background by more grey levels than this
_FADE_S = 0.4
_COLOURLESS = 6.0  # mean difference between the colour channels below which a picture is infrared


@dataclass(frozen=True, eq=False)
class Thing:
    """A moving thing, cut out of footage of another scene.

    pixels  (n, h, w, 3) uint8 BGR, in steps of ``step_s`` seconds
    masks   (n, h, w) float32, 0..1
    light   mean grey level of the scene it comes from
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.float32]
    light: float
    step_s: float


@dataclass(frozen=True)
class Paste:
    """When, where and how a thing is shown.

    at_s     seconds of the file at which it appears
    shown_s  seconds for which it is shown
    height   of the thing, share of the picture's height
    foot     (x, y) of its lower edge's middle when it appears, shares of the picture; x may lie outside
    speed    widths of the picture per second, to the right; 0 if it stays where it is
    """

    at_s: float
    shown_s: float
    height: float
    foot: tuple[float, float]
    speed: float


def cut_things(videos: Sequence[Path], most: int = 40) -> list[Thing]:
    """Things that move in videos of other, fixed cameras: at most ``most`` per video, evenly over its length.

    Raises UsageError if nothing moves in them.
    """
    things: list[Thing] = []
    for video in videos:
        found = _cut(open_sources([str(video)], split="testing_videos")[0])
        things += [found[k] for k in np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))]
    if not things:
        raise UsageError("nothing that moves alone could be cut out of the videos: give others of a fixed camera")
    return things


def _cut(source: Source) -> list[Thing]:
    frames: list[Image] = []
    with source.open() as reader:
        fps = reader.fps
        while reader.grab() is not None and len(frames) < _MOST_FRAMES:
            image = reader.retrieve()
            if image is None:
                break
            frames.append(image)
    if len(frames) < _LENGTH:
        return []
    even = np.linspace(0, len(frames) - 1, 60).astype(int)
    background = np.median(np.stack([frames[k] for k in even]), axis=0).astype(np.uint8)
    things = []
    for start in range(0, len(frames) - _LENGTH, _LENGTH):
        followed = _follow(frames[start : start + _LENGTH : _EVERY], background, _EVERY / fps)
        things += followed
    return things


def _moving(frame: Image, background: Image) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Labels, boxes with areas, and centres of what differs from the background; label 0 is the background."""
    different = cv2.absdiff(cv2.blur(frame, (3, 3)), cv2.blur(background, (3, 3))).max(axis=2) > _DIFFERENT
    closed = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, centres = cv2.connectedComponentsWithStats(opened)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32), np.asarray(centres, np.float64)


def _follow(frames: Sequence[Image], background: Image, step_s: float) -> list[Thing]:
    """The things of the first frame that stay whole, alone and inside the picture in all frames, which they move in."""
    seen = [_moving(frame, background) for frame in frames]
    things = []
    for label in range(1, len(seen[0][1])):
        track = [label]
        for (before, *_), (labels, stats, _) in pairwise(seen):
            own = labels[before == track[-1]]
            own = own[own > 0]
            following = int(np.bincount(own).argmax()) if len(own) else 0
            area = int(stats[following, cv2.CC_STAT_AREA])
            last = int(np.count_nonzero(before == track[-1]))
            if following == 0 or not 0.7 <= area / last <= 1.4 or not _whole(stats[following], labels.shape):
                break
            track.append(following)
        if len(track) < len(seen):
            continue
        centres = np.stack([centre[number] for (_, _, centre), number in zip(seen, track, strict=True)])
        boxes = np.stack([stats[number] for (_, stats, _), number in zip(seen, track, strict=True)])
        if float(np.hypot(*(centres[-1] - centres[0]))) < 0.3 * float(boxes[0, cv2.CC_STAT_WIDTH]):
            continue
        width, height = (int(boxes[:, column].max()) + 4 for column in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
        pixels, alphas = [], []
        for frame, (labels, _, _), number, centre in zip(frames, seen, track, centres, strict=True):
            soft = cv2.GaussianBlur((labels == number).astype(np.float32), (0, 0), 0.8)
            middle = float(centre[0]), float(centre[1])
            pixels.append(cv2.getRectSubPix(frame, (width, height), middle))
            alphas.append(cv2.getRectSubPix(soft, (width, height), middle))
        light = float(np.mean(frames[0]))
        things.append(Thing(np.stack(pixels).astype(np.uint8), np.stack(alphas).astype(np.float32), light, step_s))
    return things


def _whole(box: NDArray[np.int32], shape: tuple[int, ...]) -> bool:
    x, y, w, h, area = (int(v) for v in box)
    inside = x > 1 and y > 1 and x + w < shape[1] - 1 and y + h < shape[0] - 1
    return inside and area >= _LEAST_AREA and area >= 0.3 * w * h


def draw(picture: Image, thing: Thing, paste: Paste, age_s: float) -> Image:
    """A copy of the picture (H, W, 3) that shows the thing ``age_s`` seconds after it appeared."""
    if not 0 <= age_s <= paste.shown_s:
        return picture
    rows, columns = picture.shape[:2]
    step = int(age_s / thing.step_s) if paste.speed else 0
    there = step % (2 * len(thing.pixels) - 2)
    there = min(there, 2 * len(thing.pixels) - 2 - there)  # forwards, then backwards
    patch, mask = thing.pixels[there].astype(np.float32), thing.masks[there]
    scale = paste.height * rows / patch.shape[0]
    x = (paste.foot[0] + paste.speed * age_s) * columns
    y = paste.foot[1] * rows
    matrix = np.array([[scale, 0, x - scale * patch.shape[1] / 2], [0, scale, y - scale * patch.shape[0]]], np.float64)
    flags = cv2.INTER_AREA if scale >= 1 else cv2.INTER_LINEAR
    if scale < 1:  # without this, thin parts would vanish
        blurred = 0.5 / scale
        patch, mask = cv2.GaussianBlur(patch, (0, 0), blurred), cv2.GaussianBlur(mask, (0, 0), blurred)
    placed = cv2.warpAffine(patch, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask, matrix, (columns, rows), flags=flags)
    share = share * np.float32(min(1.0, age_s / _FADE_S) if not paste.speed else 1.0)
    spread = picture.max(axis=2).astype(np.float32) - picture.min(axis=2)
    if float(spread.mean()) < _COLOURLESS:
        placed = np.repeat(placed.mean(axis=2, keepdims=True), 3, axis=2)
    placed = placed * np.float32(np.clip(float(picture.mean()) / max(thing.light, 1.0), 0.3, 1.5))
    mixed = picture + (placed - picture) * share[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)


class Pasted(Source):
    """A recorded source with a thing pasted into it."""

    def __init__(self, source: Source, thing: Thing, paste: Paste) -> None:
        super().__init__(source.name, source.label)
        self._source, self._thing, self._paste = source, thing, paste

    def open(self) -> Reader:
        """Open the source. Raises its errors."""
        return _PastedReader(self._source.open(), self._thing, self._paste)

    def interrupt(self) -> None:
        """Interrupt the source."""
        self._source.interrupt()


class _PastedReader(Reader):
    def __init__(self, reader: Reader, thing: Thing, paste: Paste) -> None:
        self.fps = reader.fps
        self._reader, self._thing, self._paste = reader, thing, paste
        self._time_s = self._changed_s = -math.inf
        self._last: Image | None = None

    def grab(self) -> Position | None:
        return self._noted(self._reader.grab())

    def skip_to(self, time_s: float) -> Position | None:
        return self._noted(self._reader.skip_to(time_s))

    def _noted(self, position: Position | None) -> Position | None:
        if position is not None:
            self._time_s = position.time_s
            self.fps = self._reader.fps
        return position

    def retrieve(self) -> Image | None:
        picture = self._reader.retrieve()
        if picture is None:
            return None
        if self._last is None or not np.array_equal(picture, self._last):
            self._changed_s, self._last = self._time_s, picture.copy()
        return draw(picture, self._thing, self._paste, self._changed_s - self._paste.at_s)

    def close(self) -> None:
        self._reader.close()
