"""Learns what is normal at each place from hours or days of footage, in one pass and in bounded memory.

An even sample of a day contains most of what is frequent and nothing of what is rare. So exemplars cover what happens
instead: the features of a cell become an exemplar where no exemplar is near, however seldom they occur (streaming
k-centre: Charikar and others, Incremental clustering and dynamic information retrieval, 1997). When a cell is full, the
distance that counts as near grows, and exemplars that are then near each other become one.

Each exemplar knows whether it was seen in one block of time only, an hour for example. So the footage can be scored
block by block, each with the exemplars that the other blocks know: as the next day will be scored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray

RADIUS, GROWTH = 0.5, 1.4
"""First distance between exemplars, in deviations of the features, and its factor when a cell is full."""


class Coverage:
    """Exemplars of the features in many cells.

    points  (cells, most, features) float32; rows from ``counts`` on are zero
    counts  (cells,) number of exemplars of each cell
    radius  (cells,) float32: features nearer to an exemplar than this are not kept
    block   (cells, most) int32: the block of time in which an exemplar was seen first
    shared  (cells, most) bool: whether it was seen in another block, too
    """

    def __init__(self, cells: int, most: int, features: int, radius: float = RADIUS) -> None:
        self.points = np.zeros((cells, most, features), np.float32)
        self.counts = np.zeros(cells, np.intp)
        self.radius = np.full(cells, radius, np.float32)
        self.block = np.full((cells, most), -1, np.int32)
        self.shared = np.zeros((cells, most), bool)

    def add(self, cell: int, features: FloatArray, block: int) -> None:
        """Take features (n, d), in order of time, that were seen at a cell in a block of time."""
        fresh = self._known(cell, features, block)
        while len(fresh):
            count = self.counts[cell]
            if count == self.points.shape[1]:
                self._thin(cell)
                fresh = self._known(cell, fresh, block)
                continue
            self.points[cell, count] = fresh[0]
            self.block[cell, count], self.shared[cell, count] = block, False
            self.counts[cell] += 1
            distance = np.square(fresh - fresh[0]).sum(axis=1)
            fresh = fresh[distance > self.radius[cell] ** 2]

    def halves_joined(self, first: int) -> Coverage:
        """Half as many cells: each knows what its two cells, one of each half, know.

        first: the half, 0 or 1, that the other one is added to
        """
        half = len(self.points) // 2
        rows = np.s_[first * half : (first + 1) * half]
        joined = Coverage(half, self.points.shape[1], self.points.shape[2])
        joined.points, joined.counts = self.points[rows].copy(), self.counts[rows].copy()
        joined.radius = self.radius[rows].copy()
        joined.block, joined.shared = self.block[rows].copy(), self.shared[rows].copy()
        for cell in range(half):
            other = (1 - first) * half + cell
            for at in range(self.counts[other]):
                point = self.points[other, at : at + 1]
                joined.add(cell, point, int(self.block[other, at]))
                if self.shared[other, at]:
                    nearest = _squares(point, joined.points[cell, : joined.counts[cell]]).argmin()
                    joined.shared[cell, nearest] = True
        return joined

    def _known(self, cell: int, features: FloatArray, block: int) -> FloatArray:
        """The features that are near no exemplar. The exemplars near the others are marked as seen in this block."""
        count = self.counts[cell]
        if not count or not len(features):
            return features
        squares = _squares(features, self.points[cell, :count])
        nearest = squares.argmin(axis=1)
        known = squares[np.arange(len(features)), nearest] <= self.radius[cell] ** 2
        met = np.unique(nearest[known])
        self.shared[cell, met] |= self.block[cell, met] != block
        return np.asarray(features[~known], np.float32)

    def _thin(self, cell: int) -> None:
        """Let the radius grow until exemplars become one."""
        points, block, shared = self.points[cell], self.block[cell], self.shared[cell]
        squares = _squares(points, points)
        kept = list(range(len(points)))
        while len(kept) == len(points):
            self.radius[cell] *= GROWTH
            near = squares <= self.radius[cell] ** 2
            kept = []
            left = np.ones(len(points), bool)
            for i in range(len(points)):
                if left[i]:
                    kept.append(i)
                    one = left & near[i]
                    shared[i] |= shared[one].any() or (block[one] != block[i]).any()
                    left &= ~near[i]
                    left[i] = False
        count = len(kept)
        for array in (points, block, shared):
            array[:count] = array[kept]
        points[count:], block[count:], shared[count:] = 0, -1, False
        self.counts[cell] = count

    def only_of(self, block: int) -> NDArray[np.bool_]:
        """(cells, most): the exemplars that no other block of time knows."""
        return np.asarray((self.block == block) & ~self.shared, np.bool_)


def _squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Squared distances between the rows of a, (n, d), and b, (m, d): (n, m) float32."""
    return np.asarray(np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T, np.float32)
