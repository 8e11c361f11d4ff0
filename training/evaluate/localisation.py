"""Does the anomaly map point at what is abnormal? Its peak against masks of where something abnormal is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray, Image

DILATE = 1 / 30
"""A peak may lie this far outside a mask, in parts of the picture's width: 8 px of 238, 21 of 640."""


@dataclass(frozen=True)
class HitRate:
    """Share of the frames with a mask on which the map's peak lies in it."""

    rate: float
    frames: int


@dataclass
class Hits:
    """Counts peaks inside masks, by whose map it is."""

    _frames: dict[str, int] = field(default_factory=dict)
    _hits: dict[str, int] = field(default_factory=dict)
    _with_map: set[str] = field(default_factory=set)

    def add(self, name: str, anomaly_map: NDArray[Any] | None, mask: NDArray[np.bool_]) -> None:
        """Take one map (h, w) of a frame whose dilated mask, (H, W) bool, is not empty. No map is no hit."""
        self._frames[name] = self._frames.get(name, 0) + 1
        if anomaly_map is None:
            return
        self._with_map.add(name)
        if (at := peak(anomaly_map)) is not None:
            row, column = (min(int(part * size), size - 1) for part, size in zip(at, mask.shape, strict=True))
            self._hits[name] = self._hits.get(name, 0) + bool(mask[row, column])

    def merge(self, other: Hits) -> None:
        """Add what another counted."""
        for name, frames in other._frames.items():
            self._frames[name] = self._frames.get(name, 0) + frames
            self._hits[name] = self._hits.get(name, 0) + other._hits.get(name, 0)
        self._with_map |= other._with_map

    def rates(self) -> dict[str, HitRate]:
        """By name; without those that never gave a map."""
        return {
            name: HitRate(self._hits.get(name, 0) / frames, frames)
            for name, frames in self._frames.items()
            if name in self._with_map
        }


def peak(anomaly_map: NDArray[Any]) -> tuple[float, float] | None:
    """Centre of the highest place, (down, right) in parts of the picture, 0..1; None for a flat map.

    Of several equally high places, the first in reading order.
    """
    at = int(np.argmax(anomaly_map))
    if not anomaly_map.flat[at] > anomaly_map.min():
        return None
    row, column = divmod(at, anomaly_map.shape[1])
    return (row + 0.5) / anomaly_map.shape[0], (column + 0.5) / anomaly_map.shape[1]


def dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask, (H, W), with a margin of ``DILATE`` of its width all around."""
    margin = max(1, round(DILATE * mask.shape[1]))
    # Distances take a tenth of the time that dilation by a large disc takes.
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= margin)


def change_map(change: Image) -> FloatArray:
    """The map of the frame difference, (H, W) float32: its mean over as much as a mask is dilated by, or single noisy
    pixels would be its peaks.
    """
    side = 2 * max(1, round(DILATE * change.shape[1] / 2)) + 1
    return np.asarray(cv2.blur(change.astype(np.float32), (side, side)), np.float32)
