"""The usual motion at each place of a scene: speeds, sizes of objects per row, and places where nothing moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.true_sight2.clip_inputs import SIZE
from monitor.types import FloatArray
from training.learn.moving_objects import MovingObject

_WIDTH, _HEIGHT = SIZE
_CELL = 16  # px, side of the cells that hold speeds
_FASTEST = 0.95  # quantile of the speeds that defines the upper usual speed
_LEAST_SPEED = 2.0  # px/s, lower limit of the upper usual speed


@dataclass(frozen=True, eq=False)
class UsualMotion:
    """The usual motion in normal footage.

    speed  (6, 10) float32 px/s, the upper usual speed in every cell of 16x16 px
    still  (96, 160) bool, True where nothing has ever moved, not even nearby
    level, slope  relative size of objects in row y: level + slope * y
    """

    speed: FloatArray
    still: NDArray[np.bool_]
    level: float = 1.0
    slope: float = 0.0

    def size_in_row(self, y: float) -> float:
        """Relative size of objects in row y, 1 in the middle of their range. A row outside the frame is its edge."""
        return float(np.clip(self.level + self.slope * np.clip(y, 0, _HEIGHT), 0.5, 2.0))

    def speed_at(self, place: tuple[float, float]) -> float:
        """The upper usual speed in the cell of a place (x, y), px/s."""
        row = int(np.clip(place[1] // _CELL, 0, _HEIGHT // _CELL - 1))
        column = int(np.clip(place[0] // _CELL, 0, _WIDTH // _CELL - 1))
        return float(self.speed[row, column])


class MotionCensus:
    """Collects the motion of one clip after another."""

    def __init__(self) -> None:
        self._cells: list[list[float]] = [[] for _ in range((_HEIGHT // _CELL) * (_WIDTH // _CELL))]
        self._moved = np.zeros((_HEIGHT, _WIDTH), np.uint8)

    def note(self, moving: NDArray[np.bool_], speed: FloatArray, rng: np.random.Generator) -> None:
        """Add the moving pixels (96, 160) and their speed in px/s; takes at most 200 of them, chosen at random."""
        self._moved |= moving.astype(np.uint8)
        rows, columns = np.nonzero(moving)
        chosen = rng.permutation(len(rows))[:200]
        which = rows[chosen] // _CELL * (_WIDTH // _CELL) + columns[chosen] // _CELL
        for cell, value in zip(which.tolist(), speed[rows[chosen], columns[chosen]].tolist(), strict=True):
            self._cells[cell].append(value)

    def usual(self, objects: Sequence[MovingObject], speed: FloatArray | None = None) -> UsualMotion:
        """The usual motion of all clips. ``speed``, if given, replaces the measured speed."""
        still = cv2.dilate(self._moved, np.ones((19, 19), np.uint8)) == 0
        return UsualMotion(_usual_speed(self._cells) if speed is None else speed, still, *_perspective(objects))


def _perspective(objects: Sequence[MovingObject]) -> tuple[float, float]:
    """(level, slope per row) of the relative size of objects, 1 on average. The slope is 0 if the objects show none."""
    if len(objects) < 30:
        return 1.0, 0.0
    rows = np.array([thing.centre[1] for thing in objects])
    sizes = np.sqrt([float((thing.masks[0] > 127).sum()) for thing in objects])
    # Medians of thirds, because groups and fragments differ much from the size of a person.
    order = np.argsort(rows, kind="stable")
    low, high = order[: len(order) // 3], order[-(len(order) // 3) :]
    distance = float(np.median(rows[high]) - np.median(rows[low]))
    small, large = float(np.median(sizes[low])), float(np.median(sizes[high]))
    if distance < 8:
        return 1.0, 0.0
    slope = 2 * (large - small) / (large + small) / distance
    middle = float(np.median(rows[low]) + distance / 2)
    return 1.0 - slope * middle, slope


def _usual_speed(cells: Sequence[Sequence[float]]) -> FloatArray:
    """(6, 10) px/s: the 95th percentile of normal speeds per cell.

    With few values, a cell is shrunk towards its row, and a row towards the whole frame.
    """
    rows, columns = _HEIGHT // _CELL, _WIDTH // _CELL
    everything = [value for cell in cells for value in cell]
    overall = float(np.quantile(everything, _FASTEST)) if everything else 10.0
    usual = np.full((rows, columns), overall, np.float32)
    for row in range(rows):
        in_row = [value for cell in cells[row * columns : (row + 1) * columns] for value in cell]
        of_row = _shrunk(in_row, overall, 200)
        for column in range(columns):
            usual[row, column] = _shrunk(cells[row * columns + column], of_row, 100)
    return np.maximum(cv2.blur(usual, (3, 3)), _LEAST_SPEED)


def _shrunk(values: Sequence[float], towards: float, weight: int) -> float:
    if not values:
        return towards
    return (len(values) * float(np.quantile(values, _FASTEST)) + weight * towards) / (len(values) + weight)
