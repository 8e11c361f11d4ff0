"""Measures whether the anomaly map points at what is abnormal: compares its peak with masks of abnormal regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray, Image

DILATE = 1 / 30
"""A peak still counts this far outside a mask, as a fraction of the frame width: 8 px of 238, 21 px of 640."""


@dataclass(frozen=True)
class HitRate:
    """Share of the frames with a mask in which the peak of the map is inside the mask.

    rate    the share, 0..1
    frames  number of frames with a mask
    """

    rate: float
    frames: int


@dataclass
class Hits:
    """Counts peaks inside masks, separately for each name of a map."""

    _frames: dict[str, int] = field(default_factory=dict)
    _hits: dict[str, int] = field(default_factory=dict)
    _with_map: set[str] = field(default_factory=set)

    def add(self, name: str, anomaly_map: NDArray[Any] | None, mask: NDArray[np.bool_]) -> None:
        """Add one map (h, w) of a frame and its dilated mask, (H, W) bool, not empty. A missing map is a miss."""
        self._frames[name] = self._frames.get(name, 0) + 1
        if anomaly_map is None:
            return
        self._with_map.add(name)
        if (at := peak(anomaly_map)) is not None:
            row, column = (min(int(part * size), size - 1) for part, size in zip(at, mask.shape, strict=True))
            self._hits[name] = self._hits.get(name, 0) + bool(mask[row, column])

    def merge(self, other: Hits) -> None:
        """Add the counts of another object."""
        for name, frames in other._frames.items():
            self._frames[name] = self._frames.get(name, 0) + frames
            self._hits[name] = self._hits.get(name, 0) + other._hits.get(name, 0)
        self._with_map |= other._with_map

    def rates(self) -> dict[str, HitRate]:
        """Hit rate by name, without names that never gave a map."""
        return {
            name: HitRate(self._hits.get(name, 0) / frames, frames)
            for name, frames in self._frames.items()
            if name in self._with_map
        }


def peak(anomaly_map: NDArray[Any]) -> tuple[float, float] | None:
    """Centre of the highest cell, (down, right) as fractions of the frame, 0..1; None for a flat map.

    If several cells are equally high, it takes the first one in reading order.
    """
    at = int(np.argmax(anomaly_map))
    if not anomaly_map.flat[at] > anomaly_map.min():
        return None
    row, column = divmod(at, anomaly_map.shape[1])
    return (row + 0.5) / anomaly_map.shape[0], (column + 0.5) / anomaly_map.shape[1]


def dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask, (H, W), enlarged on all sides by ``DILATE`` of the frame width."""
    margin = max(1, round(DILATE * mask.shape[1]))
    # A distance transform takes a tenth of the time of a dilation with a large disc.
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= margin)


def change_map(change: Image) -> FloatArray:
    """The map of the frame difference, (H, W) float32.

    It is averaged over about the distance that a mask is dilated by. Otherwise single noisy pixels would be its peaks.
    """
    side = 2 * max(1, round(DILATE * change.shape[1] / 2)) + 1
    return np.asarray(cv2.blur(change.astype(np.float32), (side, side)), np.float32)
