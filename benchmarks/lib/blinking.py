"""A scene that alternates every second between calm and abnormal: first dark with a small object that moves slowly,
then bright with a large object that moves fast."""

from __future__ import annotations

import time
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.lib.stamp import HEIGHT_PX, strip
from monitor.types import Image

WIDTH, HEIGHT, FPS = 640, 360, 25
CYCLE = 2 * FPS
"""Number of frames of one calm and one abnormal second."""


def picture(index: int, *, calm: bool = False) -> Image:
    """Frame ``index`` of the cycle, or of a scene that is always calm; (360, 640, 3) uint8 BGR.

    It has structure, noise and a moving object. Otherwise the health check would report it as covered or frozen.
    """
    step = index % CYCLE
    bright = step >= FPS and not calm
    scene = np.random.default_rng(0).integers(20, 120, (18, 32, 3), np.uint8)
    noise = np.random.default_rng(index % 7).integers(0, 10, (HEIGHT, WIDTH, 3), np.uint8)
    large = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    drawn = np.asarray(large + noise + np.uint8(120 if bright else 0), np.uint8)
    strolled = round(60 * np.sin(2 * np.pi * step / CYCLE))
    cv2.circle(drawn, (WIDTH // 2 + strolled, 280), 14, (200, 200, 200), -1)
    if bright:
        cv2.circle(drawn, (step * 47 % WIDTH, 200), 60, (10, 10, 10), -1)
    return drawn


def write_frames(path: Path) -> None:
    """Write one cycle as raw I420 frames, one after the other."""
    pictures = (cv2.cvtColor(picture(index), cv2.COLOR_BGR2YUV_I420) for index in range(CYCLE))
    path.write_bytes(b"".join(each.tobytes() for each in pictures))


def write_calm(path: Path, seconds: float) -> None:
    """Write a video of the calm scene to learn from: H.264, with the blocks of a stamp along its edge."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, {"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(stamped(picture(index, calm=True)), "bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stamped(image: Image) -> Image:
    """Write the present time into the frame, as a camera of ``stamped_server`` does. Returns the same array."""
    luma = np.frombuffer(strip(time.time(), WIDTH), np.uint8).reshape(HEIGHT_PX, WIDTH)
    image[:HEIGHT_PX] = luma[:, :, np.newaxis]
    return image
