"""Does the camera show what it usually shows, or has it been turned?"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.stream.health.health_view import SIZE
from monitor.types import FloatArray

_MARGIN = 0.1  # of correlation, by which a picture must be more like the view shifted than the view where it was
_AT_LEAST = 0.4  # of the usual likeness, that the shifted view must reach
_UNLIKE = 0.25  # of the usual likeness, below which nothing has been recognised
_MIDDLE = SIZE[0] % 2 / 2, SIZE[1] % 2 / 2  # OpenCV takes the middle of an odd side to lie half a pixel further on
_WINDOW = cv2.createHanningWindow(SIZE, cv2.CV_32F)


def find_shift(detail: FloatArray, view: FloatArray) -> tuple[float, float, float]:
    """Where a view has gone to in a frame: (right, down, correlation there), px of a thumbnail and -1..1.

    detail, view  (3600,) float32, see ``look.detail_of``

    By phase correlation: Kuglin and Hines, "The phase correlation image alignment method", 1975.
    """
    shape = (SIZE[1], SIZE[0])
    seen, usual = detail.reshape(shape), view.reshape(shape)
    # It windows its inputs in place.
    (right, down), _ = cv2.phaseCorrelate(usual.copy(), seen.copy(), _WINDOW)
    right, down = right - _MIDDLE[0], down - _MIDDLE[1]
    by = np.array([[1, 0, right], [0, 1, down]], np.float32)
    there = cv2.warpAffine(usual, by, SIZE)
    covered = cv2.warpAffine(np.ones(shape, np.float32), by, SIZE) > 0.5
    if covered.mean() < 0.25:
        return right, down, 0.0
    return right, down, _correlation(seen[covered], there[covered])


def is_shifted(detail: FloatArray, view: FloatArray, usual: float, by_px: float) -> bool:
    """Whether a frame shows the view, but elsewhere by more than ``by_px`` px of a thumbnail.

    usual  the median of normal frames' correlation with the view
    """
    as_it_is = float(detail @ view)
    right, down, there = find_shift(detail, view)
    return np.hypot(right, down) > by_px and there >= max(as_it_is + _MARGIN, _AT_LEAST * usual)


def is_unlike(likeness: float, usual: float) -> bool:
    """Whether a frame's correlation with a view is so far below what is usual that it is not that view."""
    return likeness < _UNLIKE * usual


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    a, b = a - a.mean(), b - b.mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
