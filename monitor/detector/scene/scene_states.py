"""Remembers the states of a scene, and finds the places of a picture that match none of them.

A state is a picture of 16x8 blocks. A new picture is compared with the 16 states that are most similar to it as a
whole. The score of a block is its distance to the same block in the nearest of these states. So the light and the
curtains may match one evening, and the chair another evening. But an object that was never in this place stands out.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray

_ALIKE = 16  # number of states that a picture is compared with, block by block
_TOP_SHARE = 0.05  # the picture's score is the mean of this share of the places, the highest ones
_PARTS = 8
_UNIT_QUANTILE = 0.99


class States:
    """The normal states of the scene in one regime.

    exemplars  (n, rows, columns, 3) float16, pictures in luma and colour differences, grey levels
    time_s     (n,) float64, time of each exemplar in the footage, seconds on the stream's clock
    deviation  (rows, columns, 3) float32 > 0, usual variation of each block, grey levels
    unit       distance exceeded by 1% of normal pictures in a part of the footage that was not learned, > 0
    """

    def __init__(
        self, exemplars: NDArray[np.float16], time_s: NDArray[np.float64], deviation: FloatArray, unit: float
    ) -> None:
        self.exemplars, self.time_s, self.deviation, self.unit = exemplars, time_s, deviation, unit
        self._scaled = (exemplars.astype(np.float32) / deviation).reshape(len(exemplars), -1)
        self._squares = np.square(self._scaled).sum(axis=1)

    @classmethod
    def learn(cls, pictures: FloatArray, time_s: NDArray[np.float64], most: int) -> tuple[Self, FloatArray]:
        """Learn from (k, rows, columns, 3) normal pictures in order of time, k >= 2 * 8; keep at most ``most``.

        It also returns the score of each picture, (k,), as if its eighth of the footage (see ``parts``) had not been
        learned. A picture taken seconds after a learned one does not represent another day; one taken hours later does.
        """
        spread = np.maximum(pictures.std(axis=0), 1.0)
        deviation = np.maximum(spread, 0.5 * np.median(spread)).astype(np.float32)
        flat = (pictures / deviation).reshape(len(pictures), -1).astype(np.float32)
        chosen = farthest_first(flat, most)
        part = parts(len(pictures))
        scores = np.zeros(len(pictures), np.float32)
        for number in np.unique(part):
            others = chosen[part[chosen] != number]
            if len(others):
                rest = cls(pictures[others].astype(np.float16), time_s[others], deviation, 1.0)
                for i in np.flatnonzero(part == number):
                    scores[i] = top_mean(rest.compare(pictures[i])[0])
        unit = max(float(np.quantile(scores, _UNIT_QUANTILE)), 0.1)
        states = cls(pictures[chosen].astype(np.float16), time_s[chosen], deviation, unit)
        return states, scores / np.float32(unit)

    def compare(self, picture: FloatArray) -> tuple[FloatArray, int]:
        """How unusual each block of a picture (rows, columns, 3) is, in units: (rows, columns) float32, >= 0.

        It also returns the index of the exemplar that is most similar to the whole picture.
        """
        flat = (picture / self.deviation).ravel()
        squares = self._squares - 2 * (self._scaled @ flat)
        count = min(_ALIKE, len(squares))
        alike = np.argpartition(squares, count - 1)[:count]
        difference = (self._scaled[alike] - flat).reshape(count, *picture.shape)
        blocks = np.sqrt(np.square(difference).sum(axis=3).min(axis=0)) / np.float32(self.unit)
        return blocks, int(alike[squares[alike].argmin()])


def parts(count: int) -> NDArray[np.intp]:
    """The eighth of the footage, 0..7, that each of ``count`` pictures in order of time belongs to."""
    return np.arange(count) * _PARTS // count


def top_mean(places: FloatArray) -> float:
    """The score of a picture: the mean of the highest 5% of its places."""
    count = max(1, round(_TOP_SHARE * places.size))
    return float(np.partition(places, -count, axis=None)[-count:].mean())


def farthest_first(samples: FloatArray, most: int) -> NDArray[np.intp]:
    """Greedy k-centre: indices of at most ``most`` of (k, d) samples. Each is the farthest from all chosen before."""
    samples = samples - samples.mean(axis=0)
    norms = np.square(samples).sum(axis=1)
    chosen = [0]
    distance = np.full(len(samples), np.inf, np.float32)
    while len(chosen) < min(most, len(samples)):
        last = chosen[-1]
        distance = np.minimum(distance, norms + norms[last] - 2 * (samples @ samples[last]))
        distance[last] = 0.0
        farthest = int(distance.argmax())
        if distance[farthest] <= 1e-3:
            break
        chosen.append(farthest)
    return np.array(chosen)


def colour_differences(pictures: FloatArray) -> FloatArray:
    """Luma, red difference and blue difference (ITU-R BT.601) of (..., 3) BGR, grey levels; same shape, float32."""
    blue, green, red = pictures[..., 0], pictures[..., 1], pictures[..., 2]
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return np.stack([luma, 0.713 * (red - luma), 0.564 * (blue - luma)], axis=-1).astype(np.float32)
