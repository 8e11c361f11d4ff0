"""Pictures in memory that two processes share: no process overwrites a picture that another one still uses."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest

from monitor.sources.isolated.shared_pictures import SLOTS, PictureReader, PictureWriter
from monitor.types import Image
from tests.helpers.decoders import noise


@pytest.fixture
def reader() -> Iterator[PictureReader]:
    reader = PictureReader()
    yield reader
    reader.close()


def hand_over(writer: PictureWriter, reader: PictureReader, image: Image) -> Image:
    slot = reader.take_slot()
    height, width = image.shape[:2]
    return reader.picture(slot, writer.write(slot, image), width, height)


def test_pictures_that_are_held_stay_as_they_were_however_many_follow(reader: PictureReader) -> None:
    writer = PictureWriter(reader.fd)
    sizes = [(32, 24)] * 6 + [(64, 48)] * 6 + [(16, 8), (320, 200), (32, 24)]
    held = [hand_over(writer, reader, noise(i, *size)) for i, size in enumerate(sizes)]
    for i, (image, size) in enumerate(zip(held, sizes, strict=True)):
        np.testing.assert_array_equal(image, noise(i, *size))


def test_a_place_is_used_again_once_nobody_holds_its_picture_or_a_part_of_it(reader: PictureReader) -> None:
    writer = PictureWriter(reader.fd)
    image = hand_over(writer, reader, noise(0, 32, 24))
    corner = image[:4, :4]
    del image
    gc.collect()
    for i in range(3 * SLOTS):
        hand_over(writer, reader, noise(1 + i, 32, 24))
    np.testing.assert_array_equal(corner, noise(0, 32, 24)[:4, :4])
    del corner
    gc.collect()
    assert sorted(reader.take_slot() for _ in range(SLOTS)) == list(range(SLOTS))


def test_pictures_outlive_their_reader() -> None:
    reader = PictureReader()
    image = hand_over(PictureWriter(reader.fd), reader, noise(0, 32, 24))
    reader.close()
    reader.close()
    np.testing.assert_array_equal(image, noise(0, 32, 24))


def test_a_picture_decoded_in_its_place_is_not_copied(reader: PictureReader) -> None:
    writer = PictureWriter(reader.fd)
    assert writer.likely(0) is None
    writer.write(0, noise(0, 32, 24))
    place = writer.likely(1)
    assert place is not None
    place[:] = noise(1, 32, 24)
    np.testing.assert_array_equal(reader.picture(1, writer.write(1, place), 32, 24), noise(1, 32, 24))


@pytest.mark.parametrize(("offset", "width", "height"), [(0, 4000, 3000), (2**40, 1, 1), (-8, 2, 2)])
def test_a_picture_beyond_the_memory_is_refused(reader: PictureReader, offset: int, width: int, height: int) -> None:
    PictureWriter(reader.fd).write(0, noise(0, 32, 24))
    with pytest.raises(ValueError, match="is outside the shared memory"):
        reader.picture(0, offset, width, height)
