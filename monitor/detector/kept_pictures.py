"""Small pictures kept of footage too long to hold, evenly spread in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detector.scene.patches import patch_picture, patch_size
from monitor.stream.regimes import COLUMNS, ROWS, LightWatch, Regime, small_picture
from monitor.types import FloatArray, Frame, Image

_MOST = 20_000
_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """What is kept of one frame: its regime and time, (8, 16, 3) float16 BGR, and grey (h, w) uint8 for patches."""

    regime: Regime
    time_s: float
    blocks: NDArray[np.float16]
    grey: Image


class Kept:
    """What is kept of clips in steady light: a picture every 0.2 s, or fewer, so that 20,000 are enough.

    whole_after_s  seconds that the footage spans, holes included, from which on no grey pictures are kept: blocks will
                   do. An hour of chunks spread over a day shows more states than an hour in one piece
    """

    def __init__(self, whole_after_s: float) -> None:
        self._whole_after_s = whole_after_s
        self._spans: dict[str, tuple[float, float]] = {}  # source -> first and last time, seconds
        self._every_s = _EVERY_S
        self._size = (0, 0)
        self._kept: list[_Picture] = []

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def whole(self) -> bool:
        """True once there is so much footage that no grey pictures are kept."""
        return sum(last - first for first, last in self._spans.values()) >= self._whole_after_s

    def add_clip(self, clip: Sequence[Frame]) -> None:
        """Look at a clip, in order of time. The first frame of all sets the size of the grey pictures."""
        watch = LightWatch()
        next_s = -np.inf
        nothing = np.zeros((0, 0), np.uint8)
        for frame in clip:
            if not self._size[0]:
                self._size = patch_size(frame.image.shape[1], frame.image.shape[0])
            first_s, last_s = self._spans.get(frame.camera, (frame.time_s, frame.time_s))
            self._spans[frame.camera] = min(first_s, frame.time_s), max(last_s, frame.time_s)
            blocks = small_picture(frame.small.sample)
            light = watch.update(frame.time_s, blocks)
            if light.settling or frame.time_s < next_s:
                continue
            next_s = frame.time_s + self._every_s - 1e-6
            grey = nothing if self.whole else patch_picture(frame.small.sample, self._size)
            self._kept.append(_Picture(light.regime, frame.time_s, blocks.astype(np.float16), grey))
            if len(self._kept) > _MOST:
                self._kept, self._every_s = self._kept[::2], 2 * self._every_s
        if self.whole:
            self._kept = [_Picture(k.regime, k.time_s, k.blocks, nothing) for k in self._kept]

    def of(self, regime: Regime) -> tuple[FloatArray, NDArray[np.uint8] | None, NDArray[np.float64]]:
        """Pictures of a regime, in order: blocks (k, 8, 16, 3) float32, grey (k, h, w) or None, time_s (k,)."""
        own = [kept for kept in self._kept if kept.regime is regime]
        blocks = np.array([kept.blocks for kept in own], np.float32).reshape(-1, ROWS, COLUMNS, 3)
        greys = None if self.whole else np.array([kept.grey for kept in own], np.uint8)
        return blocks, greys, np.array([kept.time_s for kept in own], np.float64)
