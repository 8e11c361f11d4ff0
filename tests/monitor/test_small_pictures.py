"""Small pictures that all detectors share are equal to those that each would compute itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monitor.small_pictures import SmallPictures
from monitor.types import Frame, Image

SIZES = ((160, 88), (160, 96), (80, 45), (320, 176), (8, 8))


def picture(width: int, height: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1280, 720, (320, 180)),
        (1920, 1080, (320, 180)),
        (640, 360, (320, 180)),
        (3840, 1600, (480, 200)),
        (641, 480, (320, 240)),
    ],
)
def test_the_sample_of_a_large_frame_is_no_smaller_than_320_by_180(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    sample = SmallPictures(picture(width, height)).sample
    assert (sample.shape[1], sample.shape[0]) == expected


@pytest.mark.parametrize(("width", "height"), [(32, 24), (320, 180), (639, 359), (238, 158)])
def test_a_small_frame_is_its_own_sample(width: int, height: int) -> None:
    image = picture(width, height)
    assert SmallPictures(image).sample is image


def test_at_half_the_size_each_pixel_is_the_mean_of_its_four() -> None:
    image = picture(640, 360)
    means = image.reshape(180, 2, 320, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(SmallPictures(image).sample - means).max() <= 1.0


@pytest.mark.parametrize("side", [2, 3, 4, 6])
def test_what_is_wide_enough_looks_the_same_in_the_sample_as_in_area_means(side: int) -> None:
    smooth = np.asarray(cv2.GaussianBlur(picture(320 * side, 180 * side), (0, 0), 2.0 * side), np.uint8)
    means = cv2.resize(smooth, (320, 180), interpolation=cv2.INTER_AREA)
    assert cv2.absdiff(SmallPictures(smooth).sample, means).mean() < 1.0


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360), (238, 158), (641, 480), (32, 24)])
def test_whoever_asks_first_gets_the_same(width: int, height: int, order: int) -> None:
    small, alone = SmallPictures(picture(width, height)), {}
    for size in SIZES:
        alone[size] = SmallPictures(picture(width, height)).grey(size)
        assert alone[size].shape == (size[1], size[0])
    for size in SIZES[::order]:
        np.testing.assert_array_equal(small.grey(size), alone[size])


def test_each_size_is_made_once_for_all_who_look() -> None:
    frame = Frame("a", 0, 0.0, picture(320, 240))
    assert frame.small.grey((160, 96)) is frame.small.grey((160, 96))
    assert frame.small.sample is frame.small.sample
