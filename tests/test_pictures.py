"""Small pictures that all detectors share: the same as each would have made for itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monitor.pictures import SmallPictures
from monitor.types import Frame, Image

SIZES = ((160, 88), (160, 96), (80, 45), (320, 176), (8, 8))


def picture(width: int, height: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def plain(image: Image, size: tuple[int, int]) -> Image:
    """As documented, from the frame itself."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    while grey.shape[1] >= 2 * size[0] and grey.shape[0] >= 2 * size[1] and not (grey.shape[0] | grey.shape[1]) & 1:
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("width_height", [(1280, 720), (640, 360), (238, 158), (641, 480), (32, 24)])
@pytest.mark.parametrize("order", [1, -1])
def test_whoever_asks_first_gets_the_same(width_height: tuple[int, int], order: int) -> None:
    image = picture(*width_height)
    small = SmallPictures(image)
    for size in SIZES[::order]:
        np.testing.assert_array_equal(small.grey(size), plain(image, size))


def test_each_size_is_made_once_for_all_who_look() -> None:
    frame = Frame("a", 0, 0.0, picture(320, 240))
    assert frame.small.grey((160, 96)) is frame.small.grey((160, 96))
