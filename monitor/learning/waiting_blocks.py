"""What was seen lately and is not known yet: it enters after a delay, so that nothing becomes normal at once.

Only exemplars of each block of time wait, no pictures: features that differ from those that wait already.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.detector.coverage import Coverage
from monitor.detector.motion.cell_memory import by_cell
from monitor.detector.motion.cells import FEATURES
from monitor.detector.scene.whole_scene import RADIUS
from monitor.learning.held_pieces import PICTURE
from monitor.stream.regimes import Regime
from monitor.types import FloatArray

_CELL_EXEMPLARS, _PICTURE_EXEMPLARS = 24, 128  # of a cell, and of the picture, in one block of time


class WaitingBlock:
    """The exemplars of one block of time.

    number   of the block
    last_s   watched seconds at its newest frame
    seen_s   seconds by day and by infrared light
    regimes  (3,) small pictures of each regime
    """

    def __init__(self, number: int, cells: int) -> None:
        self.number, self.last_s = number, 0.0
        self.seen_s = np.zeros(2)
        self.regimes = np.zeros(len(Regime), np.int64)
        self._cells = cells
        self._open: tuple[Coverage, Coverage] | None = None
        self._closed = (
            np.zeros(0, np.int16),
            np.zeros((0, FEATURES), np.float16),
            np.zeros((0, PICTURE), np.float16),
        )

    def add(self, cells: NDArray[np.int16], features: FloatArray, pictures: FloatArray) -> None:
        """Take the active cells (n,), their features (n, 16), and small pictures (p, 384), in order of time."""
        if self._open is None:
            self._open = (
                Coverage(self._cells, _CELL_EXEMPLARS, FEATURES),
                Coverage(1, _PICTURE_EXEMPLARS, PICTURE, RADIUS),
            )
        for cell, rows in by_cell(cells).items():
            self._open[0].add(cell, features[rows], self.number)
        if len(pictures):
            self._open[1].add(0, pictures, self.number)

    def close(self) -> None:
        """Nothing more will be added for now: keep the exemplars in little memory."""
        if self._open is None:
            return
        movement, scenes = self._open
        counts = movement.counts
        known = self._closed
        cells = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
        features = np.concatenate([movement.points[cell, :count] for cell, count in enumerate(counts)])
        self._closed = (
            np.concatenate([known[0], cells]),
            np.concatenate([known[1], features.astype(np.float16)]),
            np.concatenate([known[2], scenes.points[0, : scenes.counts[0]].astype(np.float16)]),
        )
        self._open = None

    @property
    def exemplars(self) -> tuple[NDArray[np.int16], NDArray[np.float16], NDArray[np.float16]]:
        """Cells (n,), their features (n, 16), small pictures (p, 384). The block must be closed."""
        return self._closed

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Its arrays by name, for a file. It is closed by this."""
        self.close()
        cells, features, pictures = self._closed
        return {
            "cells": cells,
            "features": features,
            "pictures": pictures,
            "seen_s": self.seen_s,
            "regimes": self.regimes,
            "numbers": np.array([self.number, self.last_s], np.float64),
        }

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[np.generic]], cells: int) -> WaitingBlock:
        """The inverse of ``tensors``. Raises KeyError and ValueError for arrays that it cannot have given."""
        number, last_s = (float(value) for value in np.asarray(tensors["numbers"], np.float64))
        found = cls(int(number), cells)
        found.last_s = last_s
        found.seen_s = np.array(tensors["seen_s"], np.float64)
        found.regimes = np.array(tensors["regimes"], np.int64)
        own = np.asarray(tensors["cells"], np.int16)
        features = np.asarray(tensors["features"], np.float16)
        pictures = np.asarray(tensors["pictures"], np.float16)
        if features.shape != (len(own), FEATURES) or pictures.shape[1:] != (PICTURE,):
            raise ValueError("features")
        if found.seen_s.shape != (2,) or found.regimes.shape != (len(Regime),):
            raise ValueError("seen")
        if len(own) and not 0 <= own.min() <= own.max() < cells:
            raise ValueError("cells")
        if not np.isfinite(features).all() or not np.isfinite(pictures).all() or not np.isfinite(found.seen_s).all():
            raise ValueError("features")
        found._closed = own, features, pictures
        return found
