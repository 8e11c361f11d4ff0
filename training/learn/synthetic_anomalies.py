"""Synthetic anomalies: objects cut out of normal footage and pasted back too fast, too large, or where nothing moves.

Half of the samples stay normal. Normal objects are pasted into them too, so that a network cannot just learn to detect
pasting.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.true_sight2.clip_inputs import LAGS_S, SIZE, ClipInputs
from monitor.errors import UsageError
from monitor.types import FloatArray, Image
from training.learn.grey_footage import GreyFootage
from training.learn.moving_objects import MovingObject, Sample, blend, cut_out, foreground, place
from training.learn.usual_motion import MotionCensus

_FRAMES = len(LAGS_S) + 1
_WIDTH, _HEIGHT = SIZE
_LEAST_SHOWN = 8  # px of an anomaly that must be visible
_CLIPS, _OBJECTS = 600, 3000  # maximum number of clips that define the usual motion, and of objects to cut out


@dataclass(eq=False)
class AnomalyMaker:
    """Makes samples from footage. The same footage and seed give the same samples.

    usual_speed  (6, 10) px/s from an earlier training; None: measured here

    Raises UsageError if no clip is long enough.
    """

    footage: GreyFootage
    rng: np.random.Generator
    usual_speed: InitVar[FloatArray | None] = None

    def __post_init__(self, usual_speed: FloatArray | None) -> None:
        self.inputs = ClipInputs()
        self.objects: list[MovingObject] = []
        starts = self.footage.starts(1.0)
        if not len(starts):
            raise UsageError(
                "the clips for true-sight-2 are too short or have too few frames per second: give clips of at least "
                "1 s with at least 4 frames per second"
            )
        census = MotionCensus()
        for clip, index in starts[self.rng.permutation(len(starts))[:_CLIPS]]:
            sample = self.sample(int(clip), int(index))
            flow = self._flow(sample)
            moving = (foreground(sample.now, sample.background) > 0) & (cv2.absdiff(sample.now, sample.earlier[1]) > 8)
            census.note(moving, np.hypot(flow[..., 0], flow[..., 1]), self.rng)
            if len(self.objects) < _OBJECTS:
                self.objects.extend(cut_out(sample, flow))
        self.usual = census.usual(self.objects, usual_speed)
        self._quiet = np.argwhere(self.usual.still)
        self.inputs = ClipInputs(self.usual.speed)
        self._noise = self.rng.standard_normal(1 << 18, dtype=np.float32)

    def sample(self, clip: int, index: int, speed: float = 1.0) -> Sample:
        """The unchanged frame of a clip with its earlier frames, ``speed`` times too fast. Nothing is labelled."""
        now, earlier, ages, recent = self.footage.clip(clip, index, speed)
        return Sample(now, earlier, ages, self.footage.background, recent, np.zeros(now.shape, bool))

    def normal(self) -> Sample:
        """A normal sample, often with a normal object pasted near its own place, sometimes into the background."""
        sample = self._random()
        for _ in range(self.rng.choice(3, p=[0.35, 0.4, 0.25])):
            if self.objects:
                sample = self._paste_normal(sample)
        if self.objects and self.rng.random() < 0.3:
            sample = self._ghost(sample)
        return self._jitter(sample)

    def abnormal(self) -> Sample:
        """A sample with a visible anomaly of one of seven kinds; half of these samples also get a normal object."""
        sample = self._abnormal()
        for _ in range(4):
            if np.count_nonzero(sample.mask) >= _LEAST_SHOWN:
                break
            sample = self._abnormal()
        return self._jitter(sample)

    def _abnormal(self) -> Sample:
        if not self.objects or self.rng.random() < 0.15:
            sample = self._whole_too_fast()
            if sample is not None:
                return sample
        sample = self._random()
        if self.objects and self.rng.random() < 0.5:
            sample = self._paste_normal(sample)
        if self.objects and self.rng.random() < 0.2:
            sample = self._ghost(sample)
        return self._paste_abnormal(sample)

    def _random(self) -> Sample:
        starts = self.footage.starts(1.0)
        clip, index = starts[self.rng.integers(len(starts))]
        return self.sample(int(clip), int(index))

    def _paste_normal(self, sample: Sample) -> Sample:
        """Paste a normal object at another usual place. Near the camera, objects are larger and faster in the frame."""
        thing = self._maybe_rigid(self.objects[self.rng.integers(len(self.objects))], 0.3)
        x, y = thing.centre
        near = self.rng.random() < 0.5
        for _ in range(4):
            there = x + self.rng.normal(0, 6.0 if near else 16.0), y + self.rng.normal(0, 2.0 if near else 6.0)
            column, row = (int(np.clip(v, 0, n - 1)) for v, n in zip(there, SIZE, strict=True))
            if not self.usual.still[row, column]:
                break
        else:
            there = x, y
        scale = float(np.clip(self.usual.size_in_row(there[1]) / self.usual.size_in_row(y), 0.6, 1.6))
        scale *= float(np.exp(self.rng.normal(0, 0.08)))
        speed = scale * float(np.exp(self.rng.normal(0, 0.1)))
        return self._paste(sample, thing, there, (thing.velocity[0] * speed, thing.velocity[1] * speed), (scale, scale))

    def _maybe_rigid(self, thing: MovingObject, chance: float) -> MovingObject:
        """With this chance, make the object rigid, like a vehicle without moving legs.

        Normal samples contain rigid objects too. Otherwise the network would learn only that rigid means abnormal.
        """
        if self.rng.random() >= chance:
            return thing
        pixels, masks = (np.repeat(part[:1], _FRAMES, axis=0) for part in (thing.pixels, thing.masks))
        return replace(thing, pixels=pixels, masks=masks)

    def _ghost(self, sample: Sample) -> Sample:
        """Paste an object into the background only: somebody stood still there and has left. This is normal."""
        thing = self.objects[self.rng.integers(len(self.objects))]
        centre = (thing.centre[0] + self.rng.normal(0, 10.0), thing.centre[1] + self.rng.normal(0, 3.0))
        placed = place(thing.pixels[0], thing.masks[0], centre, (1.0, 1.0))
        background = blend(sample.background, placed)
        recent = blend(sample.recent, placed) if self.rng.random() < 0.5 else sample.recent
        return sample._replace(background=background, recent=recent)

    def _paste_abnormal(self, sample: Sample) -> Sample:
        rng = self.rng
        kind = rng.choice(["fast", "large", "squashed", "misplaced", "texture"], p=[0.5, 0.15, 0.1, 0.1, 0.15])
        if kind == "texture" or not self.objects:
            return self._paste_texture(sample)
        thing = self._maybe_rigid(self.objects[rng.integers(len(self.objects))], 0.4)
        centre = (thing.centre[0] + rng.normal(0, 12.0), thing.centre[1] + rng.normal(0, 3.0))
        velocity, scale = thing.velocity, (1.0, 1.0)
        if kind == "fast":
            velocity = self._faster(thing, centre, float(np.exp(rng.uniform(np.log(1.7), np.log(4.5)))))
            grown = float(np.exp(rng.uniform(-0.1, 0.5)))
            scale = (grown * float(np.exp(rng.uniform(0, 0.4))), grown)
        elif kind == "large":
            grown = min(rng.uniform(1.7, 3.2), max(1.7, _HEIGHT / max(thing.pixels.shape[1:])))
            scale = (grown, grown)
            velocity = self._faster(thing, centre, rng.uniform(1.0, 3.0)) if rng.random() < 0.5 else velocity
        elif kind == "squashed":
            wide = rng.uniform(1.6, 3.0)
            scale = (wide, wide * rng.uniform(0.25, 0.6)) if rng.random() < 0.7 else (0.5, wide)
        else:
            if not len(self._quiet):
                return self._paste_texture(sample)
            y, x = self._quiet[rng.integers(len(self._quiet))]
            centre = (float(x), float(y))
        return self._paste(sample, thing, centre, velocity, scale, label=True)

    def _faster(self, thing: MovingObject, centre: tuple[float, float], factor: float) -> tuple[float, float]:
        """A velocity of ``factor`` times its own, but at least 0.6 to 1.2 times the upper usual speed there, px/s."""
        own = float(np.hypot(*thing.velocity))
        speed = max(own * factor, self.usual.speed_at(centre) * self.rng.uniform(0.6, 1.2))
        angle = np.arctan2(thing.velocity[1], thing.velocity[0]) if own > 1 else self.rng.uniform(0, 2 * np.pi)
        angle += self.rng.normal(0, 0.35)
        return speed * float(np.cos(angle)), speed * float(np.sin(angle))

    def _paste_texture(self, sample: Sample) -> Sample:
        """Paste a patch of noise, of flat grey or of another place. It moves or stays still."""
        rng = self.rng
        width, height = (int(v) for v in np.exp(rng.uniform(np.log(4), np.log(36), 2)))
        kind = rng.integers(3)
        if kind == 0:
            pixels = np.asarray(rng.integers(0, 256, (max(height // 3, 1), max(width // 3, 1))), np.uint8)
            pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
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
            speed = self.usual.speed_at(centre) * rng.uniform(0.4, 3.0)
        thing = MovingObject(np.repeat(pixels[None], _FRAMES, 0), np.repeat(mask[None], _FRAMES, 0), centre, (0.0, 0.0))
        velocity = (speed * float(np.cos(angle)), speed * float(np.sin(angle)))
        return self._paste(sample, thing, centre, velocity, (1.0, 1.0), label=True)

    def _whole_too_fast(self) -> Sample | None:
        """A clip that runs too fast, labelled where something moves fast enough; None if no clip is long enough."""
        for speed in (self.rng.uniform(2.5, 5.0), 2.5):
            starts = self.footage.starts(speed)
            if len(starts):
                clip, index = starts[self.rng.integers(len(starts))]
                sample = self.sample(int(clip), int(index), speed)
                flow = self._flow(sample)
                usual = cv2.resize(self.usual.speed, SIZE, interpolation=cv2.INTER_LINEAR)
                changed = cv2.absdiff(sample.now, sample.earlier[0]) > 8
                mask = changed & (foreground(sample.now, sample.background) > 0)
                mask &= np.hypot(flow[..., 0], flow[..., 1]) > 0.5 * usual
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
            placed = place(thing.pixels[k], thing.masks[k], there, scale)
            frames.append(blend(frame, placed, lighter))
            if label and k == 0:
                mask = mask.copy()
                mask[placed.where] |= placed.share > 0.4
        recent = sample.recent
        if np.hypot(*velocity) < 1:
            placed = place(thing.pixels[0], thing.masks[0], centre, scale)
            there_for = np.float32(self.rng.choice([0.0, 0.5, 1.0]))  # how much it has already become background
            recent = blend(recent, placed._replace(share=placed.share * there_for), lighter)
        return sample._replace(now=frames[0], earlier=frames[1:], mask=mask, recent=recent)

    def _jitter(self, sample: Sample) -> Sample:
        """Change the light, add noise, and sometimes drop frames."""
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
        """Optical flow, (h, w, 2) px/s."""
        return -self.inputs.motion(sample.now, sample.earlier[3]) / np.float32(sample.ages_s[3])
