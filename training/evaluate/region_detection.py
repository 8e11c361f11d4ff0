"""The region-based detection criterion (RBDC): are abnormal regions found, and how many others are shown?

After Ramachandra and Jones, Street Scene: A new dataset and evaluation protocol for video anomaly detection, 2020. A
map is cut at a threshold; each connected part is a detected region. An abnormal region is found if the intersection
with a detected region is at least a tenth of their union. A detected region that finds nothing is false. The figure is
the area below the share of regions found, over false regions per frame from 0 to 1, for all thresholds.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_OVERLAP = 0.1  # the criterion's own
_WIDTH = 160  # px: regions are compared in pictures of this width
_THRESHOLDS = np.geomspace(0.02, 50.0, 64)  # of a map in which 1 is the threshold for an alarm
_LEAST_PX = 4


class RegionDetection:
    """Takes the maps of labelled frames, of one video after the other."""

    def __init__(self) -> None:
        self._found = np.zeros(len(_THRESHOLDS), np.int64)
        self._false = np.zeros(len(_THRESHOLDS), np.int64)
        self.regions = 0
        """Abnormal regions, counted in each frame."""
        self._frames = 0

    def add(self, anomaly_map: NDArray[Any] | None, mask: NDArray[np.bool_]) -> None:
        """Take a frame: its map (h, w), None without one, and its abnormal pixels, (H, W), perhaps none."""
        size = (_WIDTH, max(1, round(_WIDTH * mask.shape[0] / mask.shape[1])))
        count, truth = cv2.connectedComponents(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA))
        self._frames += 1
        self.regions += count - 1
        if anomaly_map is None:
            return
        shown = cv2.resize(np.nan_to_num(anomaly_map).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        sizes = np.bincount(truth.ravel(), minlength=count)
        for number in np.flatnonzero(shown.max() >= _THRESHOLDS):
            # From here on, only the part that reaches the threshold is looked at: higher ones are reached within it.
            x, y, width, height = cv2.boundingRect((shown >= _THRESHOLDS[number]).astype(np.uint8))
            shown, truth = (of[y : y + height, x : x + width] for of in (shown, truth))
            parts, labels, stats, _ = cv2.connectedComponentsWithStats((shown >= _THRESHOLDS[number]).astype(np.uint8))
            areas = stats[:, cv2.CC_STAT_AREA]
            both = np.bincount((truth * parts + labels).ravel(), minlength=count * parts).reshape(count, parts)
            union = sizes[:, None] + areas[None] - both
            hit = (both >= _OVERLAP * union)[1:, 1:]
            self._found[number] += int(hit.any(axis=1).sum())
            self._false[number] += int((~hit.any(axis=0) & (areas[1:] >= _LEAST_PX)).sum())

    def merge(self, other: RegionDetection) -> None:
        """Add the counts of another object."""
        self._found += other._found
        self._false += other._false
        self.regions += other.regions
        self._frames += other._frames

    def area(self) -> float:
        """The criterion, 0..1; NaN without an abnormal region."""
        if not self.regions:
            return math.nan
        # From the highest threshold on; a lower one never finds less, and what it shows more is counted against it.
        share = np.maximum.accumulate(np.append(0.0, self._found[::-1] / self.regions))
        false = np.maximum.accumulate(np.append(0.0, self._false[::-1] / self._frames))
        at_one = float(np.interp(1.0, false, share))
        inside = false < 1.0
        x, y = np.append(false[inside], 1.0), np.append(share[inside], at_one)
        return float(np.trapezoid(y, x))
