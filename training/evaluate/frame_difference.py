"""The mean frame difference: a score without any model, which every detector must exceed to be useful."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.scores.smoothing import SmoothingSettings
from monitor.types import Frame, Image


class FrameDifference:
    """Compares each analysed frame with the frame before it. Starts again at each new segment."""

    def __init__(self) -> None:
        self._before: NDArray[Any] | None = None
        self._segment: int | None = None

    def update(self, frame: Frame) -> tuple[float, Image | None]:
        """Mean absolute difference in grey levels, and the difference at each pixel, (H, W) uint8.

        Returns 0 and None for the first frame of a segment.
        """
        grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
        before = self._before if frame.segment == self._segment else None
        self._before, self._segment = grey, frame.segment
        if before is None:
            return 0.0, None
        change = np.asarray(cv2.absdiff(grey, before), np.uint8)
        return float(change.mean()), change


def smoothed_difference(
    difference: NDArray[np.float64],
    time_s: NDArray[np.float64],
    segment: NDArray[np.int32],
    smoothing: SmoothingSettings,
) -> NDArray[np.float64]:
    """The causal median of the frame difference, (N,) float64. It starts again at each new segment."""
    found = np.empty_like(difference)
    median = smoothing.smoother()
    for i, (at_s, value) in enumerate(zip(time_s.tolist(), difference.tolist(), strict=True)):
        if i and segment[i] != segment[i - 1]:
            median.reset()
        found[i] = median.update(at_s, value)
    return found
