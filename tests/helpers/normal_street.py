"""A recording of the synthetic street without abnormal events, for tests of learning."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from monitor.learning.footage import FootageWriter
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.types import Image

SIZE = (160, 96)


@cache
def street(time_s: float, seed: int = 31) -> Image:
    """A small picture of the street at this time. It is drawn once and cannot be written."""
    scene = SyntheticScene(seed=seed, duration_s=600.0, abnormal=False)
    image = np.asarray(cv2.resize(scene.render(round(time_s * FPS)), SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    image.flags.writeable = False
    return image


def record_street(folder: Path, seconds: float, seed: int = 31, *, flip: bool = False) -> Path:
    """Record ten pictures per second in a folder of footage. ``flip``: upside down, like another scene."""
    writer = FootageWriter(folder, "street", SIZE, 10.0)
    for number in range(round(seconds * 10)):
        image = street(number / 10, seed)
        writer.add(number / 10, np.ascontiguousarray(image[::-1, ::-1]) if flip else image)
    return folder
