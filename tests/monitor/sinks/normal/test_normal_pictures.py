"""Which pictures of calm footage are kept, and which of them is the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.sinks.evidence.alert_pictures import to_jpeg
from monitor.sinks.normal.normal_pictures import (
    DAY_S,
    HEIGHT_PX,
    SKETCH,
    NormalPicture,
    NormalPictures,
    shrunk,
    sketch_of,
)
from monitor.states import Region
from monitor.types import Image

SIZE = (320, 180)


def scene(*boxes: tuple[int, int, int], background: int = 90) -> Image:
    """A grey picture with squares: left, top, brightness."""
    image = np.full((SIZE[1], SIZE[0], 3), background, np.uint8)
    for left, top, level in boxes:
        image[top : top + 40, left : left + 40] = level
    return image


def kept(at: float, image: Image) -> NormalPicture:
    small = shrunk(image)
    return NormalPicture(at, to_jpeg(small, 80), sketch_of(small))


def test_what_was_normal_in_the_place_of_the_alert_counts_most() -> None:
    pictures = NormalPictures(10)
    pictures.add(kept(1.0, scene((20, 20, 200), (260, 120, 120))))  # something nearly like it stood there
    pictures.add(kept(2.0, scene((20, 20, 200))))
    pictures.add(kept(3.0, scene((20, 20, 200), (140, 120, 250))))
    alert = scene((260, 120, 140))
    there = [Region(260, 120, 40, 40, 1.0)]
    assert pictures.nearest(alert, there).at == 1.0  # type: ignore[union-attr]
    same_light = NormalPictures(10)
    same_light.add(kept(1.0, scene(background=20)))
    same_light.add(kept(2.0, scene(background=95)))
    assert same_light.nearest(scene(), []).at == 2.0  # type: ignore[union-attr]
    assert NormalPictures(10).nearest(alert, there) is None


@pytest.mark.parametrize(
    ("image", "height"),
    [((1080, 1920, 3), HEIGHT_PX), ((60, 80, 3), 60), ((30, 900, 3), 30), ((900, 30, 3), HEIGHT_PX)],
)
def test_pictures_of_any_size_are_small_and_compared_alike(image: tuple[int, int, int], height: int) -> None:
    small = shrunk(np.full(image, 7, np.uint8))
    assert small.shape[0] == height
    assert sketch_of(small).shape == (SKETCH[1], SKETCH[0])
    pictures = NormalPictures(3)
    pictures.add(NormalPicture(1.0, b"", sketch_of(small)))
    outside = [Region(image[1] - 1, image[0] - 1, 50, 50, 1.0)]
    assert pictures.nearest(np.full(image, 7, np.uint8), outside) is not None


def test_pictures_are_spread_over_the_day_and_renewed_each_day() -> None:
    pictures, sketch = NormalPictures(96), np.zeros((SKETCH[1], SKETCH[0]), np.uint8)
    for number in range(3 * 1440):  # one per minute for three days
        pictures.add(NormalPicture(1e9 + 60.0 * number, b"", sketch))
    times = sorted(picture.at % DAY_S for picture in pictures._kept)
    gaps = [later - earlier for earlier, later in zip(times, [*times[1:], times[0] + DAY_S], strict=True)]
    assert len(times) == 96
    assert max(gaps) <= 3 * DAY_S / 96
    oldest = min(picture.at for picture in pictures._kept)
    assert oldest >= 1e9 + DAY_S, "what is two days old has been replaced"


def test_a_file_that_is_played_again_replaces_its_pictures() -> None:
    pictures = NormalPictures(3)
    for _ in range(3):
        assert pictures.add(kept(5.0, scene())) == []
    assert len(pictures) == 1
    assert [each.at for each in pictures.forget(4.0, 5.0)] == [5.0]
    assert len(pictures) == 0
