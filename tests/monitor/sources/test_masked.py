"""Masks are burned into every picture, pixel by pixel, and nothing beside them changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.places import Polygon
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.masked import GREY, Mask, masked
from monitor.sources.source import Source
from monitor.sources.video import VideoSource
from monitor.testing.fakes import Shown, ShownSource
from monitor.types import Image
from tests.helpers.made_footage import write_video

SQUARE = Polygon(((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)))


def noise(seed: int, width: int = 160, height: int = 120) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def shown(source: Source) -> list[Image]:
    pictures = []
    with source.open() as reader:
        while reader.grab() is not None:
            image = reader.retrieve()
            assert image is not None
            pictures.append(image.copy())
    return pictures


def source(*images: Image) -> ShownSource:
    return ShownSource([Shown(n / 10, image) for n, image in enumerate(images)], 10.0)


def test_every_pixel_of_a_solid_mask_is_grey_and_all_others_stay() -> None:
    images = [noise(1), noise(2)]
    inside = SQUARE.pixels(160, 120)
    for before, after in zip(images, shown(masked(source(*images), [Mask(SQUARE)])), strict=True):
        assert (after[inside] == GREY).all()
        assert np.array_equal(after[~inside], before[~inside])
    assert not (images[0][inside] == GREY).all(), "the picture of the source itself is not changed"


def test_a_pixelated_mask_leaves_only_the_means_of_large_blocks() -> None:
    before = noise(1, 320, 240)
    (after,) = shown(masked(source(before), [Mask(SQUARE, "pixelated")]))
    inside = SQUARE.pixels(320, 240)
    assert np.array_equal(after[~inside], before[~inside])
    block = after[100:110, 100:110]
    assert (block == block[0, 0]).all()
    assert np.allclose(block[0, 0], before[100:110, 100:110].mean(axis=(0, 1)), atol=1)
    assert len(np.unique(after[inside], axis=0)) <= 18 * 14, "one colour per block of 10 px"


def test_a_change_below_a_pixelated_mask_changes_nothing_outside_its_block() -> None:
    before = noise(1, 320, 240)
    changed = before.copy()
    changed[105, 105] = 255 - changed[105, 105]
    first, second = shown(masked(source(before, changed), [Mask(SQUARE, "pixelated")]))
    different = (first != second).any(axis=2)
    assert not different[:100].any()
    assert not different[110:].any()


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (33, 17), (641, 479), (1920, 1080)])
@pytest.mark.parametrize("look", ["solid", "pixelated"])
def test_pictures_of_any_size_are_masked(size: tuple[int, int], look: str) -> None:
    mask = Mask(SQUARE, "solid" if look == "solid" else "pixelated")
    before = noise(5, *size)
    (after,) = shown(masked(source(before), [mask]))
    assert after.shape == before.shape
    if look == "solid":
        assert (after[SQUARE.pixels(*size)] == GREY).all()


def test_masks_follow_a_change_of_size() -> None:
    for after in shown(masked(source(noise(1), noise(2, 80, 60), noise(3)), [Mask(SQUARE)])):
        height, width = after.shape[:2]
        assert (after[SQUARE.pixels(width, height)] == GREY).all()


def test_a_decoder_process_gives_masked_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.avi", frames=12)
    plain = shown(VideoSource(path))
    inside = SQUARE.pixels(plain[0].shape[1], plain[0].shape[0])
    found = shown(isolate(VideoSource(path), "process", [Mask(SQUARE)]))
    assert len(found) == len(plain)
    for before, after in zip(plain, found, strict=True):
        assert (after[inside] == GREY).all()
        assert np.array_equal(after[~inside], before[~inside])


def test_without_masks_the_source_stays_as_it_is() -> None:
    given = source(noise(1))
    assert masked(given, []) is given
