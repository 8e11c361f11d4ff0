"""Detects a camera that was moved or turned: it no longer shows its usual view."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.stream.health.health_view import SIZE
from monitor.types import FloatArray

_MARGIN = 0.1  # the correlation with the shifted view must exceed that with the unshifted view by this
_AT_LEAST = 0.4  # share of the usual likeness that the shifted view must reach
_UNLIKE = 0.25  # share of the usual likeness; below it, the view is not recognised
_MIDDLE = SIZE[0] % 2 / 2, SIZE[1] % 2 / 2  # OpenCV puts the centre of an odd side half a pixel too far
_WINDOW = cv2.createHanningWindow(SIZE, cv2.CV_32F)


def find_shift(detail: FloatArray, view: FloatArray) -> tuple[float, float, float]:
    """The shift of a view in a frame: (right, down, correlation after the shift), px of a thumbnail and -1..1.

    detail, view  (3600,) float32, see ``health_view.detail_of``

    Method: phase correlation. Kuglin and Hines, "The phase correlation image alignment method", 1975.
    """
    shape = (SIZE[1], SIZE[0])
    seen, usual = detail.reshape(shape), view.reshape(shape)
    # phaseCorrelate applies the window to its inputs in place, so it gets copies.
    (right, down), _ = cv2.phaseCorrelate(usual.copy(), seen.copy(), _WINDOW)
    right, down = right - _MIDDLE[0], down - _MIDDLE[1]
    by = np.array([[1, 0, right], [0, 1, down]], np.float32)
    there = cv2.warpAffine(usual, by, SIZE)
    covered = cv2.warpAffine(np.ones(shape, np.float32), by, SIZE) > 0.5
    if covered.mean() < 0.25:
        return right, down, 0.0
    return right, down, _correlation(seen[covered], there[covered])


def is_shifted(detail: FloatArray, view: FloatArray, usual: float, by_px: float) -> bool:
    """Whether a frame shows the view, but shifted by more than ``by_px`` px of a thumbnail.

    usual  median correlation of normal frames with the view
    """
    as_it_is = float(detail @ view)
    right, down, there = find_shift(detail, view)
    return np.hypot(right, down) > by_px and there >= max(as_it_is + _MARGIN, _AT_LEAST * usual)


def is_unlike(likeness: float, usual: float) -> bool:
    """Whether a frame's correlation with a view is so far below the usual one that it does not show that view."""
    return likeness < _UNLIKE * usual


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    a, b = a - a.mean(), b - b.mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
