"""Light and sensor: changes of sun and exposure with time, shadows, and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from monitor.sources.synthetic.drawing import FRACTION_BITS, fixed
from monitor.sources.synthetic.figures import Actor
from monitor.sources.synthetic.perspective import HEIGHT, WIDTH
from monitor.sources.synthetic.seeds import Part, random_numbers
from monitor.types import Image

_MARGIN = 64  # the noise picture is this many px larger than a frame, so that each frame uses a random part of it
_NOISE_UNIT = 24.0  # standard deviation of the noise picture


@dataclass(frozen=True)
class Light:
    """The light at one moment.

    sun    0 (overcast) to 1 (sunny)
    gain   gain of the exposure
    noise  standard deviation of the noise, grey levels
    """

    sun: float
    gain: float
    noise: float


def light_at(seed: int, t: float) -> Light:
    """The light t seconds after the scene's start."""
    a, b, c, d = random_numbers(seed, Part.LIGHT).uniform(0, math.tau, 4)
    return Light(
        sun=0.5 + 0.3 * math.sin(t * math.tau / 71 + a) + 0.15 * math.sin(t * math.tau / 29 + b),
        gain=1.0 + 0.06 * math.sin(t * math.tau / 43 + c),
        noise=2.4 + 1.0 * math.sin(t * math.tau / 37 + d),
    )


def cast_shadows(canvas: Image, actors: list[Actor], sun: float) -> None:
    """Darken the ground: a contact shadow below each actor and, in the sun, a shadow to the right and backwards."""
    mask = np.full((HEIGHT // 2, WIDTH // 2), 255, dtype=np.uint8)
    for actor in actors:
        x, y, h, w = actor.x / 2, actor.y / 2, actor.height / 2, actor.width / 2
        foot, tip = fixed((x, y)), fixed((x + 0.55 * h, y - 0.13 * h))
        cv2.line(mask, foot, tip, 255 - round(95 * sun), max(1, round(0.2 * min(w, h))), cv2.LINE_AA, FRACTION_BITS)
    for actor in actors:
        axes = fixed((actor.width / 3.6, min(max(1.0, actor.width / 16), 4.0)))
        cv2.ellipse(mask, fixed((actor.x / 2, actor.y / 2)), axes, 0, 0, 360, 150, -1, cv2.LINE_AA, FRACTION_BITS)
    soft = cv2.resize(cv2.GaussianBlur(mask, (5, 5), 0), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(canvas, cv2.merge([soft, soft, soft]), canvas, scale=1 / 255)


def expose(canvas: Image, seed: int, index: int, light: Light) -> Image:
    """The picture that the camera takes of the scene: adds exposure and sensor noise."""
    row, column = random_numbers(seed, Part.NOISE_SHIFT, index).integers(0, _MARGIN, 2)
    noise = _noise(seed)[row : row + HEIGHT, column : column + WIDTH]
    amount = light.noise / _NOISE_UNIT
    return np.asarray(cv2.addWeighted(canvas, light.gain, noise, amount, -128 * amount), dtype=np.uint8)


@lru_cache(maxsize=4)
def _noise(seed: int) -> Image:
    noise = random_numbers(seed, Part.NOISE).normal(128, _NOISE_UNIT, (HEIGHT + _MARGIN, WIDTH + _MARGIN, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)
