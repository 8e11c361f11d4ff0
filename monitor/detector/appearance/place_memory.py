"""What was learned of the texture of moving things at each place, as exemplars, and distances to the nearest ones.

Descriptors are reduced to their principal components first. Each place learns from itself and from the places beside
it: a wider neighbourhood finds less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.detector.appearance.descriptors import LENGTH
from monitor.detector.coverage import Coverage
from monitor.types import FloatArray

_RADIUS = 0.25  # first distance between exemplars; it grows at places with many different textures
_MOST_SAMPLES = 600  # descriptors of each place and block of time, spread evenly over it
_MOST_FOR_AXES = 8_000


class Seen(NamedTuple):
    """The windows with movement in one frame.

    block        number of the block of time that the frame belongs to
    windows      (k,) their numbers, row by row
    descriptors  (k, 81) float32 or float16
    """

    block: int
    windows: NDArray[np.intp]
    descriptors: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Axes:
    """The principal components of descriptors.

    mean   (81,) float32
    basis  (81, d) float32; the components have a total variance of 1
    """

    mean: FloatArray
    basis: FloatArray

    @classmethod
    def of(cls, descriptors: FloatArray, components: int, rng: np.random.Generator) -> Axes:
        """The first components of descriptors (n, 81), n > 1."""
        some = descriptors[rng.permutation(len(descriptors))[:_MOST_FOR_AXES]].astype(np.float32)
        mean = some.mean(axis=0)
        variance, vectors = np.linalg.eigh(np.cov((some - mean).T))
        largest = np.maximum(variance[::-1][:components], 0)
        basis = vectors[:, ::-1][:, :components] / max(float(np.sqrt(largest.sum())), 1e-6)
        return cls(mean.astype(np.float32), np.ascontiguousarray(basis, np.float32))

    def reduce(self, descriptors: NDArray[np.floating]) -> FloatArray:
        """(k, 81) to (k, d) float32."""
        return np.asarray((descriptors.astype(np.float32) - self.mean) @ self.basis, np.float32)


class PlaceMemory:
    """The exemplars of each place.

    exemplars   (places, n, d) float32
    counts      (places,) number of exemplars of each place; rows from there on are not used
    neighbours  number of nearest exemplars that a distance is averaged over
    """

    def __init__(self, exemplars: FloatArray, counts: NDArray[np.integer], neighbours: int) -> None:
        self._exemplars, self._neighbours = exemplars, neighbours
        self._squares = np.square(exemplars).sum(axis=2)
        self._squares[np.arange(exemplars.shape[1]) >= counts[:, None]] = np.inf

    def distances(
        self, places: NDArray[np.intp], features: FloatArray, without: NDArray[np.bool_] | None = None
    ) -> FloatArray:
        """The mean distance of each of (k, d) features to the nearest exemplars of its place: (k,) float32.

        without: (places, n) exemplars that are left out

        If a place has too few exemplars, the mean of all textures takes their place.
        """
        norms = np.square(features).sum(axis=1)[:, None]
        product = np.matmul(self._exemplars[places], features[:, :, None])[:, :, 0]
        squares = self._squares[places] - 2 * product + norms
        if without is not None:
            squares[without[places]] = np.inf
        nearest = np.partition(squares, self._neighbours - 1, axis=1)[:, : self._neighbours]
        nearest = np.where(np.isfinite(nearest), nearest, norms)
        return np.asarray(np.sqrt(np.maximum(nearest, 0)).mean(axis=1), np.float32)


def learn_places(seen: Sequence[Seen], axes: Axes, grid: tuple[int, int], most: int) -> Coverage:
    """The exemplars of each place, at most ``most``, from frames in order of time; blocks of time never fall.

    grid: (rows, columns) of windows
    """
    features = [axes.reduce(frame.descriptors) for frame in seen]
    count = grid[0] * grid[1]
    coverage = Coverage(count, most, features[0].shape[1] if features else LENGTH, radius=_RADIUS)
    for block, rows in _blocks(seen):
        at = np.concatenate([seen[i].windows for i in rows])
        own = np.concatenate([features[i] for i in rows])
        order = np.argsort(at, kind="stable")
        starts = np.searchsorted(at[order], np.arange(count + 1))
        for place in range(count):
            near = [order[starts[other] : starts[other + 1]] for other in _beside(place, grid)]
            known = np.sort(np.concatenate(near))
            if len(known) > _MOST_SAMPLES:
                known = known[np.linspace(0, len(known) - 1, _MOST_SAMPLES).astype(int)]
            if len(known):
                coverage.add(place, own[known], block)
    return coverage


def _blocks(seen: Sequence[Seen]) -> Iterator[tuple[int, list[int]]]:
    """The frames with movement of each block of time."""
    for block in sorted({frame.block for frame in seen}):
        rows = [i for i, frame in enumerate(seen) if frame.block == block and len(frame.windows)]
        if rows:
            yield block, rows


def _beside(place: int, grid: tuple[int, int]) -> Iterable[int]:
    """A place and its neighbours."""
    row, column = divmod(place, grid[1])
    for down in range(max(row - 1, 0), min(row + 2, grid[0])):
        for right in range(max(column - 1, 0), min(column + 2, grid[1])):
            yield down * grid[1] + right
