"""Descriptors of edges: what they tell apart, and what they ignore."""

import cv2
import numpy as np

from monitor.detector.appearance.descriptors import LENGTH, changed_share, describe, grid
from monitor.types import FloatArray, Image
from tests.helpers.gliding import ground, texture

EVERYWHERE = np.arange(10 * 18)


def described(picture: Image) -> FloatArray:
    return describe(picture, EVERYWHERE)


def test_a_window_is_three_blocks_wide_and_one_block_further() -> None:
    assert grid(160, 96) == (10, 18)
    assert described(ground()).shape == (10 * 18, LENGTH)
    part = ground().copy()
    part[40:64, 80:104] = texture((24, 24), 5)
    differs = np.abs(described(part) - described(ground())).max(axis=1).reshape(10, 18) > 0.05
    assert differs[5, 10]
    assert not differs[:2].any(), "a window does not see what is far from it"


def test_brightness_does_not_matter_and_direction_does() -> None:
    picture = texture((96, 160), 3)
    lighter = np.asarray(picture // 2 + 90, np.uint8)
    turned = np.asarray(cv2.flip(picture, 1), np.uint8)
    same = np.linalg.norm(described(picture) - described(lighter), axis=1)
    other = np.linalg.norm(described(picture) - described(turned), axis=1)
    assert np.median(same) < 0.25 * np.median(other)


def test_a_flat_wall_has_no_texture() -> None:
    assert not described(np.full((96, 160), 100, np.uint8)).any()


def test_a_direction_between_two_bins_is_shared() -> None:
    """A gradient that turns slowly changes its descriptor slowly."""
    down, right = np.mgrid[:96, :160].astype(np.float32)
    waves = [np.sin(right * 0.4 * np.cos(a) + down * 0.4 * np.sin(a)) * 60 + 120 for a in np.deg2rad([30, 32, 60])]
    one, near, far = (described(wave.astype(np.uint8)).mean(axis=0) for wave in waves)
    assert np.linalg.norm(one - near) < 0.3 * np.linalg.norm(one - far)


def test_only_windows_that_change_are_found() -> None:
    later = ground().copy()
    later[40:64, 80:104] += 60
    shares = changed_share(later, ground())
    assert shares.shape == (10, 18)
    assert shares[5, 10] > 0.95
    assert not shares[:, :6].any()
