"""Draws lines, discs and areas with smooth edges, at subpixel positions."""

from __future__ import annotations

import cv2
import numpy as np

from monitor.types import Image

Colour = tuple[int, int, int]
"""Blue, green, red, 0..255."""
Point = tuple[float, float]
"""Column and row, px."""
FRACTION_BITS = 4
"""Fractional bits of the coordinates for OpenCV (the parameter ``shift``)."""


def fixed(point: Point) -> tuple[int, int]:
    """A point in OpenCV's fixed-point coordinates."""
    return round(point[0] * (1 << FRACTION_BITS)), round(point[1] * (1 << FRACTION_BITS))


def line(image: Image, a: Point, b: Point, colour: Colour, width: float) -> None:
    """Draw a line that is ``width`` px wide, at least 1 px."""
    cv2.line(image, fixed(a), fixed(b), colour, max(1, round(width)), cv2.LINE_AA, FRACTION_BITS)


def disc(image: Image, centre: Point, radius: float, colour: Colour, width: int = -1) -> None:
    """Draw a disc, or a ring that is ``width`` px wide."""
    cv2.circle(image, fixed(centre), round(radius * (1 << FRACTION_BITS)), colour, width, cv2.LINE_AA, FRACTION_BITS)


def area(image: Image, points: list[Point], colour: Colour) -> None:
    """Fill a polygon."""
    corners = np.array([fixed(point) for point in points], dtype=np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, FRACTION_BITS)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, made darker (factor below 1) or lighter (factor above 1)."""
    return (
        min(255, round(colour[0] * factor)),
        min(255, round(colour[1] * factor)),
        min(255, round(colour[2] * factor)),
    )
