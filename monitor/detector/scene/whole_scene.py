"""Learns ``Scene`` from every second of a day or more: whole pictures, each hour scored by what the others know."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.detector.coverage import Coverage
from monitor.detector.scene.picture_memory import NEIGHBOURS, Pictures, distances
from monitor.detector.scene.scene_detector import SMOOTH_S, Scene
from monitor.errors import UsageError
from monitor.scores.smoothing import CausalMedian
from monitor.stream.regimes import COLUMNS, ROWS, LightWatch, Regime, small_picture
from monitor.types import Frame

EXEMPLARS = 512
"""Number of pictures that are kept. Twice as many change no figure."""
EVERY_S = 1.0
"""Seconds between two pictures that are looked at."""
MOST_PICTURES = 120_000
"""Pictures that are kept to score them: 90 MB. Above it, every second one is dropped."""
RADIUS = 20.0
"""First distance between exemplars, grey levels."""
TOO_SHORT = "the footage for scene is too short or shows no steady light; give longer footage"
_UNIT_QUANTILE = 0.99
_BATCH = 256


class WholeScene:
    """Takes all frames of the footage, in order, and looks at one per second. Memory is bounded."""

    def __init__(self) -> None:
        self._light = LightWatch()
        self._coverage = Coverage(1, EXEMPLARS, ROWS * COLUMNS * 3, RADIUS)
        self._seen: dict[Regime, int] = {}
        self._streams = 0
        self._looked_s = -math.inf
        self._number = self._number_now = -1  # of the newest picture, and of the present one
        self._block = -1
        self._batch: list[NDArray[np.float16]] = []
        self._numbers: list[int] = []  # of each frame's picture; -1 if it has none
        self._every = 1
        # For each picture that is kept: number, stream, time, block of time, and the picture.
        self._kept: list[tuple[int, int, float, int, NDArray[np.float16]]] = []

    def take(self, frame: Frame, block: int, *, fresh: bool) -> None:
        """Take the next frame that is scored, see ``WholeMotion.take``."""
        if fresh:
            self._light = LightWatch()
            self._streams += 1
            self._looked_s, self._number_now = -math.inf, -1
        picture = small_picture(frame.small.sample)
        light = self._light.update(frame.time_s, picture)
        if light.settling:
            self._numbers.append(-1)
            return
        if frame.time_s - self._looked_s >= EVERY_S - 1e-6:
            self._looked_s = frame.time_s
            self._number += 1
            self._number_now = self._number
            self._seen[light.regime] = self._seen.get(light.regime, 0) + 1
            if block != self._block or len(self._batch) >= _BATCH:
                self._cover()
                self._block = block
            flat = picture.reshape(-1).astype(np.float16)
            self._batch.append(flat)
            if self._number % self._every == 0:
                self._kept.append((self._number, self._streams, frame.time_s, block, flat))
            if len(self._kept) > MOST_PICTURES:
                self._every *= 2
                self._kept = [kept for kept in self._kept if kept[0] % self._every == 0]
        self._numbers.append(self._number_now)

    def finish(self) -> tuple[Scene, NDArray[np.float64]]:
        """The detector, and the score of each frame taken by what the other blocks of time know: (n,) float64.

        NaN for frames in unsteady light, or whose picture is not held out. Raises UsageError if there are too few.
        """
        self._cover()
        if not self._kept:
            raise UsageError(TOO_SHORT)
        scene, raw = scene_of(
            self._coverage,
            self._seen,
            np.stack([picture for *_, picture in self._kept]),
            np.array([block for *_, block, _ in self._kept]),
            np.array([kept[1] for kept in self._kept]),
            np.array([kept[2] for kept in self._kept]),
        )
        of_number = dict(zip([kept[0] for kept in self._kept], raw.tolist(), strict=True))
        scores = np.array([of_number.get(number, math.nan) for number in self._numbers], np.float64)
        return scene, scores

    def _cover(self) -> None:
        if self._batch:
            self._coverage.add(0, np.stack(self._batch).astype(np.float32), self._block)
        self._batch = []


def scene_of(
    coverage: Coverage,
    seen: Mapping[Regime, int],
    pictures: NDArray[np.float16],
    blocks: NDArray[np.integer],
    streams: NDArray[np.integer],
    times: NDArray[np.float64],
) -> tuple[Scene, NDArray[np.float64]]:
    """The detector that a coverage of whole pictures gives, and the scores (n,) of held-out pictures.

    seen      how many pictures of each regime were looked at
    pictures  (n, 384) held-out pictures, each scored by what the other blocks of time know
    blocks    (n,) the block of time of each; streams: (n,) its stream; times: (n,) its time, seconds

    A score is NaN if other blocks know too little. Raises UsageError if there are too few exemplars.
    """
    points = coverage.points[0, : coverage.counts[0]]
    if len(points) < NEIGHBOURS:
        raise UsageError(TOO_SHORT)
    found = np.empty(len(pictures), np.float32)
    for block in np.unique(blocks):
        own = blocks == block
        found[own] = distances(points, pictures[own], coverage.only_of(int(block))[0, : len(points)])
    known = np.isfinite(found)
    unit = max(float(np.quantile(found[known], _UNIT_QUANTILE)), 1.0) if known.any() else 1.0
    raw = np.where(known, found / unit, np.nan).astype(np.float64)
    for stream in np.unique(streams):
        own = streams == stream
        raw[own] = CausalMedian(SMOOTH_S, SMOOTH_S).all(times[own], raw[own])
    exemplars = points.reshape(-1, ROWS, COLUMNS, 3).astype(np.float16)
    return Scene.of_pictures(Pictures(exemplars, unit), seen), raw
