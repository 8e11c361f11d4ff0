"""Pairs of clips with a pasted object of the scene: once as it usually moves, once too fast or where nothing moves.

Both clips have something pasted in. So a detector that only notices pasting is not taken for a useful one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from monitor.detector.true_sight2.clip_inputs import SIZE
from monitor.errors import UsageError
from monitor.types import Frame, Image
from training.learn.grey_footage import GreyFootage, grey_footage
from training.learn.moving_objects import MovingObject
from training.learn.normal_footage import Stretch
from training.learn.synthetic_anomalies import AnomalyMaker

ClipPair = tuple[list[Frame], list[Frame]]
"""A normal clip and an abnormal one, the same frames except for what is pasted."""

PAIRS, CLIP_S = 32, 2.5
_MOST_FRAMES = 2_000  # of the footage that objects are cut out of
_LEAST_PX_S = 6.0  # px/s of a 160x96 picture: what is pasted moves at least as fast


def clip_pairs(stretches: Sequence[Stretch], seed: int, pairs: int = PAIRS) -> list[ClipPair]:
    """Make pairs from normal footage. The same footage and seed give the same pairs.

    Raises UsageError if no object moves in it, or if it has no stretch of 2.5 s.
    """
    rng = np.random.default_rng(seed)
    maker = AnomalyMaker(GreyFootage(grey_footage(stretches, _MOST_FRAMES)), rng)
    starts = [
        (stretch, start)
        for stretch in stretches
        for start in range(0, len(stretch), 5)
        if stretch.times[-1] - stretch.times[start] >= CLIP_S
    ]
    if not maker.objects or not starts:
        raise UsageError("nothing moves for long enough: give footage with its usual traffic")
    quiet = np.argwhere(maker.usual.still)
    found: list[ClipPair] = []
    for _ in range(pairs):
        stretch, start = starts[rng.integers(len(starts))]
        stop = int(np.searchsorted(stretch.times, stretch.times[start] + CLIP_S))
        thing = maker.objects[rng.integers(len(maker.objects))]
        vx, vy = thing.velocity
        speed = max(float(np.hypot(vx, vy)), 1e-3)
        usual = max(speed, _LEAST_PX_S)
        centre, factor = thing.centre, usual / speed
        if len(quiet) and rng.random() < 0.3:
            y, x = quiet[rng.integers(len(quiet))]
            there, faster = (float(x), float(y)), factor
        else:
            there = centre
            faster = max(usual * rng.uniform(2.0, 4.0), 1.2 * maker.usual.speed_at(centre)) / speed
        clip = [stretch[k] for k in range(start, stop)]
        normal = _pasted(clip, thing, centre, (vx * factor, vy * factor))
        found.append((normal, _pasted(clip, thing, there, (vx * faster, vy * faster))))
    return found


def _pasted(
    clip: Sequence[Frame], thing: MovingObject, centre: tuple[float, float], velocity: tuple[float, float]
) -> list[Frame]:
    """The clip with the object, which is at ``centre`` in its middle. Places and speeds: px of a 160x96 picture."""
    height, width = clip[0].image.shape[:2]
    fx, fy = width / SIZE[0], height / SIZE[1]
    size = (max(1, round(thing.pixels.shape[2] * fx)), max(1, round(thing.pixels.shape[1] * fy)))
    pixels = np.asarray(cv2.resize(thing.pixels[0], size, interpolation=cv2.INTER_LINEAR), np.uint8)
    share = cv2.resize(thing.masks[0], size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    middle = (clip[0].time_s + clip[-1].time_s) / 2
    found = []
    for frame in clip:
        past = frame.time_s - middle
        left = round((centre[0] + velocity[0] * past) * fx - size[0] / 2)
        top = round((centre[1] + velocity[1] * past) * fy - size[1] / 2)
        found.append(replace(frame, image=_over(frame.image, pixels, share, left, top)))
    return found


def _over(image: Image, pixels: Image, share: np.ndarray, left: int, top: int) -> Image:
    """A copy of the image (H, W, 3) with grey pixels (h, w) blended in; what lies outside is cut off."""
    out = image.copy()
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + pixels.shape[1], image.shape[1]), min(top + pixels.shape[0], image.shape[0])
    if x1 > x0 and y1 > y0:
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        old = out[y0:y1, x0:x1].astype(np.float32)
        mixed = old + (pixels[part][..., None].astype(np.float32) - old) * share[part][..., None]
        out[y0:y1, x0:x1] = np.clip(mixed, 0, 255).astype(np.uint8)
    return out
