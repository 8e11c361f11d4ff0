"""Made-up scenes for tests of pre-training: a textured block glides over a ground of its own, 160x96 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monitor.learning.footage import FootageWriter
from monitor.types import Image
from tests.helpers.gliding import HEIGHT, WIDTH, texture

RATE = 10.0


def scene_picture(seed: int, x: float) -> Image:
    """The scene's ground with a bright block at column x, (96, 160, 3) uint8."""
    grey = texture((HEIGHT, WIDTH), seed) // 3 + 40
    grey[40:60, (round(x) + np.arange(12)) % WIDTH] = texture((20, 12), 2) // 2 + 120
    return np.repeat(grey[:, :, None], 3, axis=2)


def record_scene(folder: Path, seed: int, seconds: float = 12.0, speed: float = 20.0) -> Path:
    """Record a scene, ten pictures per second. Nothing moves with a speed of 0, except noise."""
    writer, rng = FootageWriter(folder, folder.name, (WIDTH, HEIGHT), RATE), np.random.default_rng(seed)
    for number in range(round(seconds * RATE)):
        noise = rng.integers(0, 6, (HEIGHT, WIDTH, 3), np.uint8)
        writer.add(number / RATE, scene_picture(seed, speed * number / RATE) + noise)
    return folder
