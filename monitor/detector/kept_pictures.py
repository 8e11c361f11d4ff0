"""Keeps small pictures, evenly spread in time, of footage that is too long to keep in memory."""

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
    """The stored data of one frame: regime, time, blocks (8, 16, 3) float16 BGR, and grey (h, w) uint8 for patches."""

    regime: Regime
    time_s: float
    blocks: NDArray[np.float16]
    grey: Image


class Kept:
    """Keeps pictures of clips in steady light: one picture per 0.2 s, or fewer, so that there are at most 20,000.

    whole_after_s  if the footage spans at least this many seconds, including gaps, no grey pictures are kept, because
                   the blocks are enough. The span counts, because an hour of chunks spread over a day shows more states
                   than one hour without gaps
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
        """True if there is so much footage that no grey pictures are kept."""
        return sum(last - first for first, last in self._spans.values()) >= self._whole_after_s

    def add_clip(self, clip: Sequence[Frame]) -> None:
        """Process a clip, in order of time. The very first frame sets the size of the grey pictures."""
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
        """The pictures of a regime, in order: blocks (k, 8, 16, 3) float32, grey (k, h, w) or None, time_s (k,)."""
        own = [kept for kept in self._kept if kept.regime is regime]
        blocks = np.array([kept.blocks for kept in own], np.float32).reshape(-1, ROWS, COLUMNS, 3)
        greys = None if self.whole else np.array([kept.grey for kept in own], np.uint8)
        return blocks, greys, np.array([kept.time_s for kept in own], np.float64)
