"""Frames to measure on: from a video, or from the synthetic street."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from monitor.errors import SourceError
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.sources.video import VideoSource
from monitor.types import Frame, Image

PER_S = 10.0
"""Frames per second, as many as the monitor analyses."""


def street_pictures(count: int, *, seed: int, abnormal: bool) -> list[Image]:
    """Frames of the synthetic street, (360, 640, 3) uint8 BGR, ten per second."""
    scene = SyntheticScene(seed=seed, duration_s=count / PER_S + 1, abnormal=abnormal)
    return [scene.render(round(i * FPS / PER_S)) for i in range(count)]


def video_pictures(path: Path, count: int) -> list[Image]:
    """Frames of a video, (H, W, 3) uint8 BGR, ten per second. Raises SourceError if it has fewer than ``count``."""
    images: list[Image] = []
    due_s = 0.0
    with VideoSource(path, "video").open() as reader:
        while len(images) < count and (position := reader.grab()) is not None:
            if position.time_s >= due_s - 1e-6:
                due_s += 1 / PER_S
                if (image := reader.retrieve()) is not None:
                    images.append(image)
    if len(images) < count:
        raise SourceError(
            f"{path} gives {len(images)} frames at {PER_S:g} per second, but {count} are needed: give longer footage"
        )
    return images


def read_some(video: Path, count: int) -> list[Image]:
    """The first ``count`` frames, (H, W, 3) uint8 BGR."""
    with VideoSource(video, "sample").open() as reader:
        images: list[Image] = []
        while len(images) < count and reader.grab() is not None:
            image = reader.retrieve()
            if image is not None:
                images.append(image)
    return images


def resized(images: Sequence[Image], width: int, height: int) -> list[Image]:
    """The same frames in another size."""
    return [np.asarray(cv2.resize(image, (width, height)), np.uint8) for image in images]


def as_frames(images: Sequence[Image], camera: str = "street") -> list[Frame]:
    """A stream of these images as new Frame objects, so that no result of an earlier computation is cached."""
    return [Frame(camera, i, i / PER_S, image) for i, image in enumerate(images)]
