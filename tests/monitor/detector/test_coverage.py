"""Streaming k-centre: what is rare is kept, what repeats is not, memory is bounded, blocks of time are known."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.detector.coverage import RADIUS, Coverage


def test_what_is_rare_is_kept_and_what_repeats_is_kept_once() -> None:
    coverage = Coverage(1, 8, 2)
    frequent = np.full((1000, 2), 1.0, np.float32) + np.random.default_rng(0).normal(0, 0.01, (1000, 2))
    coverage.add(0, np.concatenate([frequent, [[9.0, 9.0]]]).astype(np.float32), 0)
    assert coverage.counts[0] == 2
    assert np.allclose(coverage.points[0, 1], 9.0)
    assert not coverage.points[0, 2:].any(), "rows that are not used are zero"


@pytest.mark.parametrize("seed", range(3))
def test_everything_taken_is_near_an_exemplar_however_many_there_are(seed: int) -> None:
    coverage = Coverage(2, 16, 3)
    rng = np.random.default_rng(seed)
    taken = rng.normal(0, 5, (2000, 3)).astype(np.float32)
    for block, part in enumerate(np.split(taken, 20)):
        coverage.add(1, part, block)
    assert 1 <= coverage.counts[1] <= 16
    assert coverage.counts[0] == 0
    kept = coverage.points[1, : coverage.counts[1]]
    distance = np.sqrt(np.square(taken[:, None] - kept).sum(axis=2)).min(axis=1)
    # An exemplar that was merged is within the radius of that time; the radii before add up to less than 3.5 of it.
    assert distance.max() <= 3.5 * coverage.radius[1]
    assert coverage.radius[1] > RADIUS


def test_an_exemplar_knows_whether_other_blocks_of_time_have_seen_it() -> None:
    coverage = Coverage(1, 8, 1)
    for block, values in ((0, [1.0, 5.0]), (1, [1.1, 9.0]), (1, [9.1])):
        coverage.add(0, np.array(values, np.float32)[:, None], block)
    assert coverage.points[0, :3, 0].tolist() == [1.0, 5.0, 9.0]
    assert coverage.only_of(0)[0, :3].tolist() == [False, True, False]
    assert coverage.only_of(1)[0, :3].tolist() == [False, False, True]


def test_exemplars_of_different_blocks_that_become_one_belong_to_none() -> None:
    coverage = Coverage(1, 4, 1)
    for block, value in enumerate([0.0, 0.6, 10.0, 20.0, 30.0]):
        coverage.add(0, np.array([[value]], np.float32), block)
    assert coverage.points[0, :, 0].tolist() == [0.0, 10.0, 20.0, 30.0]
    assert not coverage.only_of(0).any()
    assert coverage.only_of(2)[0].tolist() == [False, True, False, False]
