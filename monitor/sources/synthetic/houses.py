"""The house fronts above the far pavement. Coordinates are in px of the frame; the canvas has twice its size."""

from __future__ import annotations

import cv2
import numpy as np

from monitor.sources.synthetic.drawing import Colour, shade
from monitor.sources.synthetic.figures import COATS
from monitor.sources.synthetic.perspective import HEIGHT
from monitor.types import FloatArray

WALL = 148.0
"""Ground row where the houses end and the far pavement begins."""

_HOUSES: tuple[tuple[int, int, Colour, Colour, bool], ...] = (  # left, right, wall, woodwork, brick wall
    (0, 208, (96, 112, 158), (226, 232, 232), True),
    (208, 428, (182, 206, 220), (96, 74, 48), False),
    (428, 640, (178, 168, 140), (236, 238, 236), False),
)
_SHOPS: tuple[tuple[int, int, Colour], ...] = ((216, 420, (92, 66, 36)), (436, 560, (58, 88, 52)))  # left, right, front
_SHOP_WINDOWS = ((224, 284), (290, 344), (444, 516))  # left, right
_DOORS: tuple[tuple[int, int, Colour], ...] = (
    (356, 384, (60, 52, 44)),
    (524, 550, (50, 74, 46)),
    (86, 114, (52, 44, 92)),
    (590, 616, (110, 70, 46)),
)


def paint_houses(paint: FloatArray, rng: np.random.Generator) -> None:
    """Paint the fronts, and the shadow where they meet the ground, on (720, 1280, 3) float32 BGR, 0..255."""
    for left, right, wall, wood, bricks in _HOUSES:
        _paint_front(paint, rng, left, right, wall, wood, bricks=bricks)
    _paint_shops(paint, rng)
    for left, right, colour in _DOORS:
        _box(paint, left - 3, 84, right + 3, WALL, (196, 202, 204))
        _box(paint, left, 87, right, WALL, colour)
        _pane(paint, left + 5, 92, right - 5, 112, shade(colour, 0.7), 1.0)
        _box(paint, right - 6, 122, right - 4, 126, (120, 180, 200))
    for x in (34, 166):  # windows on the ground floor of the first house
        _pane(paint, x - 18, 82, x + 18, 126, (226, 232, 232))
        _box(paint, x - 23, 129, x + 23, 133, (176, 184, 190))
    for stripe in range(16):  # an awning
        left_edge, colour = 218 + stripe * 8.0, ((222, 228, 230), (66, 60, 168))[stripe % 2]
        corners = np.array([(left_edge + 3, 74), (left_edge + 11, 74), (left_edge + 8, 92), (left_edge, 92)])
        cv2.fillPoly(paint, [(2 * corners).astype(np.int32)], tuple(float(c) for c in colour), cv2.LINE_AA)
    y = np.arange(2 * HEIGHT, dtype=np.float32) / 2
    contact = 1.0 - 0.35 * np.exp(-((y - WALL) ** 2) / 30)
    paint *= contact[:, None, None]


def _paint_front(
    paint: FloatArray, rng: np.random.Generator, left: int, right: int, wall: Colour, wood: Colour, *, bricks: bool
) -> None:
    """Paint one house: its wall, the windows of the upper floor, a ledge and the plinth."""
    _box(paint, left, 0, right, WALL, wall)
    part = paint[: int(2 * WALL), 2 * left : 2 * right]
    if bricks:
        y, x = np.mgrid[0 : part.shape[0], 0 : part.shape[1]]
        row = y // 5
        along = x + 7 * (row % 2)
        tone = rng.normal(1.0, 0.07, (80, 80))[row % 80, (along // 14) % 80]
        part *= np.where((y % 5 == 0) | (along % 14 == 0), 1.14, tone).astype(np.float32)[:, :, None]
    part += rng.normal(0, 2.0, part.shape[:2]).astype(np.float32)[:, :, None]
    for middle in (left + 34, (left + right) / 2, right - 34):
        _pane(paint, middle - 15, 2, middle + 15, 42, wood)
        bar = round(2 * middle)
        cv2.line(paint, (bar, 0), (bar, 84), tuple(float(c) for c in wood), 3, cv2.LINE_AA)
        _box(paint, middle - 20, 45, middle + 20, 48, (188, 194, 198))
    _box(paint, left, 57, right, 60, wall, 0.8)
    _box(paint, left, 142, right, WALL, wall, 0.55)  # the plinth


def _paint_shops(paint: FloatArray, rng: np.random.Generator) -> None:
    """Paint the two shops with their signs and the goods in their windows."""
    for left, right, colour in _SHOPS:
        _box(paint, left, 62, right, 76, colour)
        for letter in range(9):
            x = (left + right) / 2 - 40 + letter * 9
            _box(paint, x, 66, x + (2.5 if letter % 3 else 5), 72, (206, 220, 226))
        _box(paint, left, 76, right, 146, colour, 0.8)
    for left, right in _SHOP_WINDOWS:
        _pane(paint, left, 82, right, 136, (58, 50, 44), 2.0)
        for _ in range(9):  # goods on display
            x, y = rng.uniform(left + 4, right - 8), rng.uniform(112, 126)
            _box(paint, x, y, x + rng.uniform(3, 7), 135, COATS[rng.integers(len(COATS))], 0.8)


def _box(
    paint: FloatArray, left: float, top: float, right: float, bottom: float, colour: Colour, tone: float = 1.0
) -> None:
    a, b = (round(2 * left), round(2 * top)), (round(2 * right) - 1, round(2 * bottom) - 1)
    cv2.rectangle(paint, a, b, tuple(c * tone for c in colour), -1)


def _pane(
    paint: FloatArray, left: float, top: float, right: float, bottom: float, wood: Colour, frame: float = 2.5
) -> None:
    """Paint a window pane in a wooden frame of ``frame`` px, with a diagonal reflection of the sky."""
    _box(paint, left - frame, top - frame, right + frame, bottom + frame, wood)
    rows = np.linspace(1.0, 0.55, round(2 * bottom) - round(2 * top), dtype=np.float32)[:, None, None]
    glass = rows * np.array([128, 116, 100], np.float32)
    paint[round(2 * top) : round(2 * bottom), round(2 * left) : round(2 * right)] = glass
    slant = np.array([(0.2, bottom), (0.4, bottom), (0.75, top), (0.55, top)])
    glint = slant * (right - left, 1.0) + (left, 0.0)
    layer = paint.copy()
    cv2.fillPoly(layer, [(2 * glint).astype(np.int32)], (168, 160, 146), cv2.LINE_AA)
    cv2.addWeighted(layer, 0.5, paint, 0.5, 0, paint)
