"""The picture's size, and the camera above the street.

The camera is a pinhole camera 4.05 m above the ground with a horizontal axis. So ground row y has (y - 40) / 4.05 px
per metre.
"""

from __future__ import annotations

WIDTH, HEIGHT = 640, 360
"""Size of the picture, px."""
HORIZON, CAMERA_M, FOCAL = 40.0, 4.05, 520.0
"""Row of the horizon, px; height of the camera, metres; focal length, px."""


def scale(y: float) -> float:
    """Pixels per metre for a figure that stands on ground row y."""
    return (y - HORIZON) / CAMERA_M
