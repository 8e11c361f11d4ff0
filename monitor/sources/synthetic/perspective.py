"""The picture's size and the camera above the street.

A pinhole camera 4.05 m above the ground with a level axis, so a ground row y has (y - 40) / 4.05 px a metre.
"""

from __future__ import annotations

WIDTH, HEIGHT = 640, 360
"""Size of the picture, px."""
HORIZON, CAMERA_M, FOCAL = 40.0, 4.05, 520.0
"""Row of the horizon, px; height of the camera, metres; focal length, px."""


def scale(y: float) -> float:
    """Pixels a metre of something standing on ground row y."""
    return (y - HORIZON) / CAMERA_M
