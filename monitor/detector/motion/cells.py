"""Divides the picture into cells of 16 px, 8 px apart, and measures the motion in each cell.

Features are used for the comparison, terms for the reasons shown to the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.detector.frontend import BINS, BLOCK, View
from monitor.states import Reason
from monitor.types import FloatArray

FEATURES = BINS + 8
"""Number of features per cell."""

_BLOCKS, _STRIDE = 4, 2  # side and step of a cell, in blocks
_AREA = float((_BLOCKS * BLOCK) ** 2)  # number of pixels per cell
_FEW = 5.0  # with fewer moving pixels than this, their mean speed counts less
_DIRECTIONS = (
    "to the right", "to the lower right", "downwards", "to the lower left",
    "to the left", "to the upper left", "upwards", "to the upper right",
)  # fmt: skip

TERMS = (
    *(f"movement {direction}" for direction in _DIRECTIONS),
    "speed",
    "lasting speed",
    "moving area",
    "foreground area",
)
"""Names of a cell's terms, as used in the reasons."""
SPEED, AREA = TERMS.index("speed"), TERMS.index("foreground area")
AREA_FEATURE = FEATURES - 2
"""Index of the feature that does not depend on the time between two frames: the share of the foreground."""
_FLOORS = np.array([0.1] * BINS + [5.0, 5.0, 0.1, 0.1], np.float32)  # lower limits of usual values in ratios


@dataclass(frozen=True, eq=False)
class Cells:
    """The motion in each cell in one frame.

    features   (rows, columns, 16) float32
    terms      (rows, columns, 12) float32, in the order of TERMS: shares of the movement, px/s, shares of the area
    moving     (rows, columns) float32, share of moving pixels
    changed    (rows, columns) float32, share of changed pixels
    only_area  True if only the foreground area can be compared with exemplars
    """

    features: FloatArray
    terms: FloatArray
    moving: FloatArray
    changed: FloatArray
    only_area: bool = False

    def area_only(self) -> Cells:
        """The same cells, reduced to what does not depend on the time between two frames."""
        terms = np.zeros_like(self.terms)
        terms[..., AREA] = self.terms[..., AREA]
        return replace(self, terms=terms, only_area=True)

    def active(self, min_moving: float, min_changed: float) -> NDArray[np.bool_]:
        """(rows, columns): the cells to score. Objects that are too fast for the flow still change the picture."""
        return (self.moving >= min_moving) | (self.changed >= min_changed)


def grid(width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of cells in a grey picture of this size, px."""
    rows, columns = ((side // BLOCK - _BLOCKS) // _STRIDE + 1 for side in (height, width))
    return rows, columns


def measure(view: View) -> Cells:
    """The motion in each cell of a view."""
    sums = (view.speed, view.speed2, view.steady, view.steady2, view.change, view.foreground, view.moving, view.changed)
    blocks = _stacked([view.flow, view.course, *sums])
    rows = blocks[0::2] + blocks[1::2]
    half = rows[:, 0::2] + rows[:, 1::2]
    total = half[:-1, :-1] + half[:-1, 1:] + half[1:, :-1] + half[1:, 1:]  # (rows, columns, 18), sums over cells
    flow = total[..., :BINS]
    speed, speed2, steady, steady2, change, foreground, moving, changed = np.moveaxis(total[..., BINS + 2 :], -1, 0)
    # Mean speeds of the moving pixels, not sums over the cell and no roots: a small, fast object must stand out.
    pixels = np.maximum(moving, _FEW)
    mean, emphatic = speed / pixels, speed2 / np.maximum(speed, 1e-6)
    course = total[..., BINS : BINS + 2] / pixels[..., None]
    speeds = [mean / 50, emphatic / 50, course / 50, steady2 / np.maximum(steady, 1e-6) / 50]
    rest = [np.sqrt(change / (10 * _AREA)), foreground / _AREA, moving / _AREA]
    features = _stacked([np.sqrt(flow / _AREA), *speeds, *rest])
    share = flow / np.maximum(speed, 1e-6)[..., None]
    terms = _stacked([share, mean, steady / pixels, moving / _AREA, foreground / _AREA])
    return Cells(features, terms, moving / np.float32(_AREA), changed / np.float32(_AREA))


def _stacked(planes: Sequence[FloatArray]) -> FloatArray:
    """Stack planes, (h, w) or (h, w, n), along the last axis: (h, w, all). Twice as fast as numpy.dstack."""
    return np.concatenate(
        [plane if plane.ndim == 3 else plane[:, :, None] for plane in planes], axis=2, dtype=np.float32
    )


def over_usual(terms: FloatArray, usual: FloatArray) -> FloatArray:
    """Terms (..., 12) divided by their usual values (..., 12)."""
    return np.asarray(terms / np.maximum(usual, _FLOORS), np.float32)


def reasons(terms: FloatArray, usual: FloatArray, zoom: float) -> tuple[Reason, ...]:
    """At most three of a cell's terms (12,) above their usual value, strongest first.

    zoom  px of the source frame per px of the grey picture; speeds are given in px/s of the source frame
    """
    excess = over_usual(terms, usual)
    found = []
    for i in np.argsort(-excess, kind="stable")[:3]:
        if excess[i] > 1.15:
            speed = TERMS[i].endswith("speed")
            factor, unit = (zoom, "px/s") if speed else (100.0, "%")
            of = "" if speed else "of the movement there" if i < BINS else "of the place"
            found.append(Reason(TERMS[i], float(terms[i]) * factor, float(usual[i]) * factor, unit, of))
    return tuple(found)
