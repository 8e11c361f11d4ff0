"""Remembers whole small pictures of a scene, and tells how far a picture is from the most similar ones.

What is odd as a whole is seen here: someone who works at an unusual place in an unusual light changes every part of the
picture a little, and no part of it much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray

NEIGHBOURS = 3


class Pictures:
    """The normal pictures of a scene, in all lights.

    exemplars  (n, rows, columns, 3) float16 BGR, grey levels, n >= 3
    unit       distance exceeded by 1 % of normal pictures in hours that were not learned, > 0
    """

    def __init__(self, exemplars: NDArray[np.float16], unit: float) -> None:
        self.exemplars, self.unit = exemplars, unit
        self._flat = exemplars.astype(np.float32).reshape(len(exemplars), -1)
        self._squares = np.square(self._flat).sum(axis=1)

    def compare(self, picture: FloatArray, left_out: NDArray[np.bool_] | None = None) -> tuple[float, FloatArray]:
        """How far a picture (rows, columns, 3) is from the nearest exemplars, in units, and where.

        left_out  (rows, columns) blocks that do not count; the others count as if they were the whole picture

        The second value, (rows, columns) float32, is the difference of each block from the nearest exemplar. If all
        blocks differed equally, each would be the distance. It is 0 for a block that does not count.
        """
        if left_out is not None and left_out.any():
            return self._compare_rest(picture, ~left_out)
        flat = picture.ravel()
        squares = self._squares + float(flat @ flat) - 2 * (self._flat @ flat)
        nearest = np.argpartition(squares, NEIGHBOURS - 1)[:NEIGHBOURS]
        distance = float(np.sqrt(np.maximum(squares[nearest], 0)).mean()) / self.unit
        difference = np.square(picture - self.exemplars[nearest[squares[nearest].argmin()]].astype(np.float32))
        blocks = np.sqrt(difference.sum(axis=2) * difference.shape[0] * difference.shape[1]) / self.unit
        return distance, blocks.astype(np.float32)

    def _compare_rest(self, picture: FloatArray, counts: NDArray[np.bool_]) -> tuple[float, FloatArray]:
        """See ``compare``. counts: (rows, columns) blocks that count."""
        blocks = np.zeros(counts.shape, np.float32)
        if not counts.any():
            return 0.0, blocks
        difference = np.square(self.exemplars[:, counts].astype(np.float32) - picture[counts]).sum(axis=2)
        squares = difference.sum(axis=1) * (counts.size / counts.sum())
        nearest = np.argpartition(squares, NEIGHBOURS - 1)[:NEIGHBOURS]
        closest = difference[nearest[squares[nearest].argmin()]]
        blocks[counts] = np.sqrt(closest * counts.size) / self.unit
        return float(np.sqrt(squares[nearest]).mean()) / self.unit, blocks


def distances(points: FloatArray, pictures: FloatArray, without: NDArray[np.bool_]) -> FloatArray:
    """Mean distance of pictures (k, d) to the nearest points (n, d) that are not left out: (k,); infinite if too few.

    without: (n,) points to leave out
    """
    found = np.full(len(pictures), np.inf, np.float32)
    points = points[~without]
    if len(points) < NEIGHBOURS:
        return found
    squares = np.square(points).sum(axis=1)
    for at in range(0, len(pictures), 4096):  # 16 MB for 1,024 points
        part = pictures[at : at + 4096].astype(np.float32)
        product = np.square(part).sum(axis=1)[:, None] + squares - 2 * part @ points.T
        nearest = np.partition(product, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        found[at : at + 4096] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return found
