"""Synthetic anomalies: what moves in normal footage, cut out and put back too fast, too large, or where nothing moves.

Half of the samples stay normal, and those get normal objects pasted too, so that a network which learns from them
cannot do so by seeing where something was pasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.clip_inputs import LAGS_S, SIZE, ClipInputs
from monitor.errors import UsageError
from monitor.types import FloatArray, Image
from training.grey_footage import GreyFootage

_FOREGROUND = 16  # grey levels from the background that make a pixel part of an object
_LEAST_AREA, _MOST_AREA = 10, 2500  # px of an object
_FRAMES = len(LAGS_S) + 1
_WIDTH, _HEIGHT = SIZE
_Number = TypeVar("_Number", np.uint8, np.float32)
_CELL = 16  # px, side of the cells in which speeds are kept


class Sample(NamedTuple):
    """A clip as the network is shown it.

    now, earlier  (96, 160) uint8 and four older ones, youngest first
    ages_s        of the four, seconds
    background    (96, 160) float32 grey levels
    recent        (96, 160) float32 grey levels
    mask          (96, 160) bool: where it is abnormal now
    """

    now: Image
    earlier: list[Image]
    ages_s: list[float]
    background: FloatArray
    recent: FloatArray
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MovingObject:
    """Something that moved in normal footage, cut out of the five frames of a clip along its path.

    pixels    (5, h, w) uint8, now first
    masks     (5, h, w) uint8, 0..255, soft at the edge
    centre    (x, y) px, now
    velocity  (x, y) px/s
    """

    pixels: Image
    masks: Image
    centre: tuple[float, float]
    velocity: tuple[float, float]


@dataclass(eq=False)
class AnomalyMaker:
    """Makes samples from footage; the same footage and seed give the same samples.

    usual_speed  (6, 10) px/s, as learned before; without it, it is learned here and kept as ``speed``

    Raises UsageError where no clip is long enough.
    """

    footage: GreyFootage
    rng: np.random.Generator
    usual_speed: InitVar[FloatArray | None] = None

    def __post_init__(self, usual_speed: FloatArray | None) -> None:
        self.inputs = ClipInputs()
        self.objects: list[MovingObject] = []
        cells: list[list[float]] = [[] for _ in range((_HEIGHT // _CELL) * (_WIDTH // _CELL))]
        motion = np.zeros((_HEIGHT, _WIDTH), np.float32)
        starts = self.footage.starts(1.0)
        if not len(starts):
            raise UsageError(
                "the clips for true-sight-2 are too short or have too few frames a second: give clips of a second "
                "or more, at 4 frames a second or more"
            )
        chosen = starts[self.rng.permutation(len(starts))[:600]]
        for clip, index in chosen:
            sample = self.sample(int(clip), int(index))
            flow = self._flow(sample)
            foreground = _foreground(sample.now, sample.background)
            moving = (foreground > 0) & (cv2.absdiff(sample.now, sample.earlier[1]) > 8)
            motion = np.maximum(motion, moving.astype(np.float32))
            self._note_speeds(cells, moving, np.hypot(flow[..., 0], flow[..., 1]))
            if len(self.objects) < 3000:
                self.objects.extend(_cut_out(sample, flow))
        support = cv2.dilate(motion, np.ones((13, 13), np.uint8)) > 0
        self.quiet = np.argwhere(~cv2.dilate(support.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool))
        self.speed = _usual_speed(cells) if usual_speed is None else usual_speed
        self.inputs = ClipInputs(self.speed)
        self._noise = self.rng.standard_normal(1 << 18, dtype=np.float32)

    def sample(self, clip: int, index: int, speed: float = 1.0) -> Sample:
        """The frame of a clip as it was, ``speed`` times too fast; nothing labelled."""
        now, earlier, ages, recent = self.footage.clip(clip, index, speed)
        return Sample(now, earlier, ages, self.footage.background, recent, np.zeros(now.shape, bool))

    def normal(self) -> Sample:
        """A normal sample, often with a normal object pasted about where it was, sometimes into the background."""
        sample = self._random()
        for _ in range(self.rng.choice(3, p=[0.35, 0.4, 0.25])):
            if self.objects:
                sample = self._paste_normal(sample)
        if self.objects and self.rng.random() < 0.3:
            sample = self._ghost(sample)
        return self._jitter(sample)

    def abnormal(self) -> Sample:
        """A sample with an anomaly of one of seven kinds; also normal objects, half of the time."""
        if not self.objects or self.rng.random() < 0.15:
            sample = self._whole_too_fast()
            if sample is not None:
                return self._jitter(sample)
        sample = self._random()
        if self.objects and self.rng.random() < 0.5:
            sample = self._paste_normal(sample)
        if self.objects and self.rng.random() < 0.2:
            sample = self._ghost(sample)
        return self._jitter(self._paste_abnormal(sample))

    def _random(self) -> Sample:
        starts = self.footage.starts(1.0)
        clip, index = starts[self.rng.integers(len(starts))]
        return self.sample(int(clip), int(index))

    def _paste_normal(self, sample: Sample) -> Sample:
        thing = self.objects[self.rng.integers(len(self.objects))]
        x, y = thing.centre
        shift_y = self.rng.normal(0, 2.0)
        scale = float(np.exp(self.rng.normal(0, 0.08)))
        centre = (x + self.rng.normal(0, 6.0), y + shift_y)
        speed = float(np.exp(self.rng.normal(0, 0.1)))
        return self._paste(
            sample, thing, centre, (thing.velocity[0] * speed, thing.velocity[1] * speed), (scale, scale)
        )

    def _ghost(self, sample: Sample) -> Sample:
        """Someone who stood still is part of the background, and has left: nothing is abnormal about it."""
        thing = self.objects[self.rng.integers(len(self.objects))]
        centre = (thing.centre[0] + self.rng.normal(0, 10.0), thing.centre[1] + self.rng.normal(0, 3.0))
        placed = _place(thing.pixels[0], thing.masks[0], centre, (1.0, 1.0))
        background = _blend(sample.background, placed)
        recent = _blend(sample.recent, placed) if self.rng.random() < 0.5 else sample.recent
        return sample._replace(background=background, recent=recent)

    def _paste_abnormal(self, sample: Sample) -> Sample:
        rng = self.rng
        kind = rng.choice(["fast", "large", "squashed", "misplaced", "texture"], p=[0.4, 0.17, 0.13, 0.12, 0.18])
        if kind == "texture" or not self.objects:
            return self._paste_texture(sample)
        thing = self.objects[rng.integers(len(self.objects))]
        if rng.random() < 0.4:  # rigid: what rolls does not swing its legs
            thing = MovingObject(
                np.repeat(thing.pixels[:1], _FRAMES, 0),
                np.repeat(thing.masks[:1], _FRAMES, 0),
                thing.centre,
                thing.velocity,
            )
        centre = (thing.centre[0] + rng.normal(0, 12.0), thing.centre[1] + rng.normal(0, 3.0))
        velocity, scale = thing.velocity, (1.0, 1.0)
        if kind == "fast":
            velocity = self._faster(thing, centre, rng.uniform(1.8, 5.0))
            grown = float(np.exp(rng.uniform(-0.1, 0.5)))
            scale = (grown * float(np.exp(rng.uniform(0, 0.4))), grown)
        elif kind == "large":
            grown = rng.uniform(1.7, 3.2)
            scale = (grown, grown)
            velocity = self._faster(thing, centre, rng.uniform(1.0, 3.0)) if rng.random() < 0.5 else velocity
        elif kind == "squashed":
            wide = rng.uniform(1.6, 3.0)
            scale = (wide, wide * rng.uniform(0.25, 0.6)) if rng.random() < 0.7 else (0.5, wide)
        else:
            if not len(self.quiet):
                return self._paste_texture(sample)
            y, x = self.quiet[rng.integers(len(self.quiet))]
            centre = (float(x), float(y))
        return self._paste(sample, thing, centre, velocity, scale, label=True)

    def _faster(self, thing: MovingObject, centre: tuple[float, float], factor: float) -> tuple[float, float]:
        """A velocity that is above what is usual there, px/s."""
        own = float(np.hypot(*thing.velocity))
        usual = self._usual_at(centre)
        speed = max(own * factor, usual * self.rng.uniform(1.25, 3.5))
        angle = np.arctan2(thing.velocity[1], thing.velocity[0]) if own > 1 else self.rng.uniform(0, 2 * np.pi)
        angle += self.rng.normal(0, 0.35)
        return speed * float(np.cos(angle)), speed * float(np.sin(angle))

    def _paste_texture(self, sample: Sample) -> Sample:
        """A patch of noise, of a flat grey or of another place, that moves or lies still."""
        rng = self.rng
        width, height = (int(v) for v in np.exp(rng.uniform(np.log(4), np.log(36), 2)))
        kind = rng.integers(3)
        if kind == 0:
            pixels = np.asarray(rng.integers(0, 256, (max(height // 3, 1), max(width // 3, 1))), np.uint8)
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        elif kind == 1:
            pixels = np.full((height, width), rng.integers(0, 256), np.uint8)
        else:
            y, x = rng.integers(0, _HEIGHT - height + 1), rng.integers(0, _WIDTH - width + 1)
            pixels = sample.background[y : y + height, x : x + width].astype(np.uint8)
        mask = np.zeros((height, width), np.uint8)
        if rng.random() < 0.5:
            mask[:] = 255
        else:
            cv2.ellipse(mask, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 255, -1)
        centre = (rng.uniform(0, _WIDTH), rng.uniform(0, _HEIGHT))
        angle, speed = rng.uniform(0, 2 * np.pi), 0.0
        if rng.random() < 0.8:
            speed = self._usual_at(centre) * rng.uniform(0.4, 3.0)
        thing = MovingObject(np.repeat(pixels[None], _FRAMES, 0), np.repeat(mask[None], _FRAMES, 0), centre, (0.0, 0.0))
        velocity = (speed * float(np.cos(angle)), speed * float(np.sin(angle)))
        return self._paste(sample, thing, centre, velocity, (1.0, 1.0), label=True)

    def _usual_at(self, centre: tuple[float, float]) -> float:
        row = int(np.clip(centre[1] // _CELL, 0, _HEIGHT // _CELL - 1))
        column = int(np.clip(centre[0] // _CELL, 0, _WIDTH // _CELL - 1))
        return float(self.speed[row, column])

    def _whole_too_fast(self) -> Sample | None:
        """The clip too fast; labelled where that makes something faster than it ever is there."""
        for speed in (self.rng.uniform(2.0, 5.0), 2.0):
            starts = self.footage.starts(speed)
            if len(starts):
                clip, index = starts[self.rng.integers(len(starts))]
                sample = self.sample(int(clip), int(index), speed)
                flow = self._flow(sample)
                usual = cv2.resize(self.speed, SIZE, interpolation=cv2.INTER_LINEAR)
                changed = cv2.absdiff(sample.now, sample.earlier[0]) > 8
                mask = changed & (_foreground(sample.now, sample.background) > 0)
                mask &= np.hypot(flow[..., 0], flow[..., 1]) > 1.15 * usual
                opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
                return sample._replace(mask=cv2.dilate(opened, np.ones((3, 3), np.uint8)) > 0)
        return None

    def _paste(
        self,
        sample: Sample,
        thing: MovingObject,
        centre: tuple[float, float],
        velocity: tuple[float, float],
        scale: tuple[float, float],
        *,
        label: bool = False,
    ) -> Sample:
        lighter = float(self.rng.normal(0, 8.0))
        frames = []
        mask = sample.mask
        for k, (frame, age) in enumerate(zip([sample.now, *sample.earlier], [0.0, *sample.ages_s], strict=True)):
            there = (centre[0] - velocity[0] * age, centre[1] - velocity[1] * age)
            placed = _place(thing.pixels[k], thing.masks[k], there, scale)
            frames.append(_blend(frame, placed, lighter))
            if label and k == 0:
                mask = mask.copy()
                mask[placed.where] |= placed.share > 0.4
        recent = sample.recent
        if np.hypot(*velocity) < 1:
            placed = _place(thing.pixels[0], thing.masks[0], centre, scale)
            there_for = np.float32(self.rng.choice([0.0, 0.5, 1.0]))  # how far it has become background
            recent = _blend(recent, placed._replace(share=placed.share * there_for), lighter)
        return sample._replace(now=frames[0], earlier=frames[1:], mask=mask, recent=recent)

    def _jitter(self, sample: Sample) -> Sample:
        """Another light, noise, and sometimes missing frames."""
        rng = self.rng
        gain, offset = float(np.exp(rng.normal(0, 0.08))), float(rng.normal(0, 6.0))
        drift = np.float32(rng.normal(0, 2.0))
        deviation = float(rng.uniform(0.5, 2.5))

        def change(frame: NDArray[np.generic]) -> FloatArray:
            return np.asarray(frame, np.float32) * np.float32(gain) + np.float32(offset)

        def noisy(frame: Image) -> Image:
            start = int(rng.integers(len(self._noise) - frame.size))
            noise = self._noise[start : start + frame.size].reshape(frame.shape) * np.float32(deviation)
            return np.clip(change(frame) + noise, 0, 255).astype(np.uint8)

        now, earlier = noisy(sample.now), [noisy(frame) for frame in sample.earlier]
        ages = list(sample.ages_s)
        if rng.random() < 0.25:
            lost = int(rng.integers(0, len(earlier)))
            other = lost - 1 if lost == len(earlier) - 1 or (lost and rng.random() < 0.5) else lost + 1
            if lost < len(earlier) - 1 or rng.random() < 0.3:
                earlier[lost], ages[lost] = earlier[other], ages[other]
        return Sample(now, earlier, ages, change(sample.background) + drift, change(sample.recent), sample.mask)

    def _flow(self, sample: Sample) -> FloatArray:
        """Apparent motion, (h, w, 2) px/s."""
        return -self.inputs.motion(sample.now, sample.earlier[3]) / np.float32(sample.ages_s[3])

    def _note_speeds(self, cells: list[list[float]], moving: NDArray[np.bool_], speed: FloatArray) -> None:
        rows, columns = np.nonzero(moving)
        if len(rows):
            chosen = self.rng.permutation(len(rows))[:200]
            which = rows[chosen] // _CELL * (_WIDTH // _CELL) + columns[chosen] // _CELL
            for cell, value in zip(which.tolist(), speed[rows[chosen], columns[chosen]].tolist(), strict=True):
                cells[cell].append(value)


def _foreground(picture: Image, background: FloatArray) -> Image:
    """(h, w) uint8, 0 or 1."""
    different = np.abs(cv2.blur(picture.astype(np.float32) - background, (2, 2))) > _FOREGROUND
    return cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))


def _cut_out(sample: Sample, flow: FloatArray) -> list[MovingObject]:
    """What moves in a clip, at most four objects."""
    frames = [sample.now, *sample.earlier]
    ages = [0.0, *sample.ages_s]
    masks = [_foreground(frame, sample.background) for frame in frames]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(masks[0])
    changed = cv2.absdiff(sample.now, sample.earlier[1])
    found: list[MovingObject] = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[label])
        if not _LEAST_AREA <= area <= _MOST_AREA or w > 80 or h > 80:
            continue
        inside = labels == label
        if changed[inside].mean() < 5 or len(found) == 4:
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
            soft = cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3), np.uint8)) * np.float32(255), (0, 0), 0.6)
            pixels.append(_patch(frame, there, (width, height)))
            alphas.append(_patch(np.clip(soft, 0, 255).astype(np.uint8), there, (width, height)))
        found.append(MovingObject(np.stack(pixels), np.stack(alphas), centre, (float(velocity[0]), float(velocity[1]))))
    return found


def _patch(image: Image, centre: tuple[float, float], size: tuple[int, int]) -> Image:
    """The part around a centre, between pixels; (width, height) px; outside the picture: its edge."""
    matrix = np.array([[1, 0, centre[0] - (size[0] - 1) / 2], [0, 1, centre[1] - (size[1] - 1) / 2]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class _Placed(NamedTuple):
    """A patch in its place in a picture: where, its grey levels there and its share of every pixel, float32."""

    where: tuple[slice, slice]
    pixels: FloatArray
    share: FloatArray


def _place(pixels: Image, mask: Image, centre: tuple[float, float], scale: tuple[float, float]) -> _Placed:
    """Put a patch of another scale about a centre, between pixels; what lies outside the picture is cut off."""
    height, width = pixels.shape
    sx, sy = scale
    left, top = centre[0] - sx * (width - 1) / 2, centre[1] - sy * (height - 1) / 2
    x0, y0 = int(np.clip(np.floor(left - sx), 0, _WIDTH)), int(np.clip(np.floor(top - sy), 0, _HEIGHT))
    x1 = int(np.clip(np.ceil(left + sx * width) + 1, x0, _WIDTH))
    y1 = int(np.clip(np.ceil(top + sy * height) + 1, y0, _HEIGHT))
    where = (slice(y0, y1), slice(x0, x1))
    if x1 == x0 or y1 == y0:
        nothing = np.zeros((y1 - y0, x1 - x0), np.float32)
        return _Placed(where, nothing, nothing)
    matrix = np.array([[sx, 0, left - x0], [0, sy, top - y0]], np.float64)
    size = (x1 - x0, y1 - y0)
    placed = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)
    return _Placed(where, placed.astype(np.float32), share.astype(np.float32) * np.float32(1 / 255))


def _blend(picture: NDArray[_Number], placed: _Placed, lighter: float = 0.0) -> NDArray[_Number]:
    """A copy of the picture with the patch in it, its grey levels ``lighter`` than they were."""
    out = picture.copy()
    old = out[placed.where].astype(np.float32)
    mixed = old + (placed.pixels + np.float32(lighter) - old) * placed.share
    out[placed.where] = np.clip(mixed, 0, 255).astype(picture.dtype)
    return out


def _usual_speed(cells: Sequence[Sequence[float]]) -> FloatArray:
    """(6, 10) px/s: the 95th percentile of normal speeds in every cell; cells with few lean on their row and on all."""
    rows, columns = _HEIGHT // _CELL, _WIDTH // _CELL
    everything = [value for cell in cells for value in cell]
    overall = float(np.quantile(everything, 0.95)) if everything else 10.0
    usual = np.full((rows, columns), overall, np.float32)
    for row in range(rows):
        in_row = [value for cell in cells[row * columns : (row + 1) * columns] for value in cell]
        of_row = _shrunk(in_row, overall, 200)
        for column in range(columns):
            usual[row, column] = _shrunk(cells[row * columns + column], of_row, 100)
    return np.maximum(cv2.blur(usual, (3, 3)), 2.0)


def _shrunk(values: Sequence[float], towards: float, weight: int) -> float:
    if not values:
        return towards
    return (len(values) * float(np.quantile(values, 0.95)) + weight * towards) / (len(values) + weight)
