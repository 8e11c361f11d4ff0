"""Pictures to measure on: of a video, or of the synthetic street."""

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
"""Pictures a second, as many as the monitor analyses."""


def street_pictures(count: int, *, seed: int, abnormal: bool) -> list[Image]:
    """The synthetic street, (360, 640, 3) uint8 BGR, ten a second."""
    scene = SyntheticScene(seed=seed, duration_s=count / PER_S + 1, abnormal=abnormal)
    return [scene.render(round(i * FPS / PER_S)) for i in range(count)]


def video_pictures(path: Path, count: int) -> list[Image]:
    """Pictures of a video, (H, W, 3) uint8 BGR, ten a second. Raises SourceError where it has not so many."""
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
            f"{path} gives {len(images)} pictures at {PER_S:g} a second, {count} are needed: longer footage"
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
    """The same pictures in another size."""
    return [np.asarray(cv2.resize(image, (width, height)), np.uint8) for image in images]


def as_frames(images: Sequence[Image], camera: str = "street") -> list[Frame]:
    """A stream of these pictures, new frames: nothing of them has been worked out before."""
    return [Frame(camera, i, i / PER_S, image) for i, image in enumerate(images)]
