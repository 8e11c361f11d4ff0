"""Writes small images and videos for tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_image(path: Path, shade: int = 100) -> Path:
    """Write a 16x12 image of one shade. Creates its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((12, 16, 3), shade, np.uint8))
    return path


def write_video(path: Path, frames: int = 4, fps: float = 10.0) -> Path:
    """Write a 32x24 Motion-JPEG file with any suffix. Each frame is brighter by 20, from black, repeated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft.avi")
    writer = cv2.VideoWriter(str(draft), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), fps, (32, 24))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((24, 32, 3), 20 * number % 240, np.uint8))
    writer.release()
    return draft.rename(path)
