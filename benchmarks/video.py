"""Footage for benchmarks: made here, or read from what the user gives."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from monitor.sources.synthetic import SyntheticScene
from monitor.sources.video import VideoSource
from monitor.types import Image

WIDTH, HEIGHT, FPS = 1280, 720, 25


def street_video(folder: Path, seconds: float) -> Path:
    """The synthetic street as 1280x720 H.264, 25 frames a second; made where it is not there yet."""
    path = folder / f"street-{seconds:g}s.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    scene = SyntheticScene(duration_s=seconds)
    grain = np.random.default_rng(0).integers(0, 12, (FPS, HEIGHT, WIDTH, 1), np.uint8)
    unfinished = path.with_suffix(".partial.mp4")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", FPS, {"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(scene.frames):
            large = cv2.resize(scene.render(index), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            noisy = cv2.add(large, np.repeat(grain[index % FPS], 3, axis=2))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(noisy, np.uint8), "bgr24")))
        container.mux(stream.encode(None))
    return unfinished.rename(path)


def read_some(video: Path, count: int) -> list[Image]:
    """The first ``count`` frames, (H, W, 3) uint8 BGR."""
    with VideoSource(video, "sample").open() as reader:
        images: list[Image] = []
        while len(images) < count and reader.grab() is not None:
            image = reader.retrieve()
            if image is not None:
                images.append(image)
    return images
