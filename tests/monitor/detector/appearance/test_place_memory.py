"""The memory of each place: what it keeps, and what it says without some of it."""

import numpy as np
import pytest

from monitor.detector.appearance.descriptors import LENGTH
from monitor.detector.appearance.place_memory import Axes, PlaceMemory, Seen, learn_places

GRID = (3, 4)


def test_axes_keep_what_varies() -> None:
    rng = np.random.default_rng(0)
    along = rng.normal(size=(500, 2)).astype(np.float32) @ rng.normal(size=(2, LENGTH)).astype(np.float32)
    axes = Axes.of(along, 2, rng)
    reduced = axes.reduce(along)
    assert reduced.shape == (500, 2)
    assert np.square(reduced).sum(axis=1).mean() == pytest.approx(1, rel=0.05)


def test_a_place_learns_from_itself_and_its_neighbours_alone() -> None:
    axes = Axes(np.zeros(LENGTH, np.float32), np.eye(LENGTH, 5, dtype=np.float32))
    seen = [Seen(0, np.array([0]), np.eye(1, LENGTH, 2, dtype=np.float32))]
    coverage = learn_places(seen, axes, GRID, 8)
    assert coverage.counts.reshape(GRID).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert coverage.points[0, 0, 2] == 1


def test_many_textures_stay_within_the_limit() -> None:
    rng = np.random.default_rng(1)
    axes = Axes(np.zeros(LENGTH, np.float32), np.eye(LENGTH, 8, dtype=np.float32))
    seen = [Seen(k // 50, np.array([5]), rng.normal(size=(1, LENGTH)).astype(np.float32)) for k in range(200)]
    coverage = learn_places(seen, axes, GRID, 16)
    assert coverage.counts.max() <= 16
    memory = PlaceMemory(coverage.points, coverage.counts, 3)
    places = np.full(200, 5)
    features = axes.reduce(np.concatenate([frame.descriptors for frame in seen]))
    known = memory.distances(places, features)
    assert known.mean() < memory.distances(places, features + 3).mean()
    held_out = memory.distances(places, features, coverage.only_of(0))
    assert (held_out >= known - 1e-6).all()
    assert held_out[:50].mean() > known[:50].mean(), "what only one quarter knows is left out for it"


def test_a_place_that_knows_too_little_compares_with_the_mean() -> None:
    memory = PlaceMemory(np.zeros((1, 4, 2), np.float32), np.array([0]), 3)
    assert memory.distances(np.array([0]), np.array([[3.0, 4.0]], np.float32)).tolist() == [5.0]
