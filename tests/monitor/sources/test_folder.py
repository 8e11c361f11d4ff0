from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.errors import SourceError
from monitor.sources.folder import FolderSource, read_image
from monitor.sources.source import Position
from monitor.types import Image
from tests.helpers.fuzzing import broken, cases
from tests.helpers.made_footage import write_image
from tests.places import SHARED_DATA


def positions(source: FolderSource) -> list[Position]:
    with source.open() as reader:
        return list(iter(reader.grab, None))


def names(source: FolderSource) -> list[str]:
    return [file.name for file in source.files]


def test_gaps_in_the_numbering_are_missing_frames(tmp_path: Path) -> None:
    for number in (5, 6, 9, 10):
        write_image(tmp_path / "01" / f"frame_{number:05d}.jpg")
    source = FolderSource(tmp_path / "01", fps=10.0)
    assert positions(source) == [Position(0, 0.0), Position(1, 0.1), Position(4, 0.4), Position(5, 0.5)]
    assert source.name == "01"
    assert [source.number(index) for index in source.indices] == [5, 6, 9, 10]


def test_the_last_number_of_any_name_gives_the_order(tmp_path: Path) -> None:
    for name in ("cam2_f10.jpg", "cam2_f9.PNG", "3 (1).jpeg", "x-2-end.bmp", "30_8.tif", "7.webp"):
        write_image(tmp_path / name)
    source = FolderSource(tmp_path)
    assert names(source) == ["3 (1).jpeg", "x-2-end.bmp", "7.webp", "30_8.tif", "cam2_f9.PNG", "cam2_f10.jpg"]
    assert source.indices == (0, 1, 6, 7, 8, 9)


def test_names_without_numbers_are_in_natural_order_without_gaps(tmp_path: Path) -> None:
    for name in ("b.jpg", "A.jpg", "c.jpg"):
        write_image(tmp_path / name)
    source = FolderSource(tmp_path)
    assert names(source) == ["A.jpg", "b.jpg", "c.jpg"]
    assert source.indices == (0, 1, 2)


def test_time_stamps_as_names_are_no_frame_numbers(tmp_path: Path) -> None:
    for stamp in (1700000000123, 1700000000163, 1700000000203):
        write_image(tmp_path / f"{stamp}.jpg")
    assert FolderSource(tmp_path).indices == (0, 1, 2)


@pytest.mark.parametrize(
    "in_order",
    [
        ("0107_100714-02.jpg", "0107_100715-01.jpg", "0107_100715-02.jpg", "0107_100716-00.jpg"),
        ("2026-01-07T10-07-15.900.jpg", "2026-01-07T10-07-16.100.jpg", "2026-01-07T10-08-01.000.jpg"),
        ("A26010710071510.jpg", "A26010710071512.jpg", "A26010710071515.jpg"),
        (
            "2026-01-07 10.07.15 (1).jpg",
            "2026-01-07 10.07.15.jpg",
            "2026-01-07 10.07.16.jpg",
            "2026-01-07 10.08.15.jpg",
        ),
    ],
)
def test_names_that_hold_a_time_are_in_the_order_of_time(tmp_path: Path, in_order: tuple[str, ...]) -> None:
    for name in reversed(in_order):
        write_image(tmp_path / name)
    source = FolderSource(tmp_path)
    assert names(source) == list(in_order)
    one_number = in_order[0].startswith("A")  # its steps count as missing frames, if they are few
    assert source.indices == ((0, 2, 5) if one_number else tuple(range(len(in_order))))


def test_other_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    write_image(tmp_path / "1.jpg")
    shutil.copy(tmp_path / "1.jpg", tmp_path / "._2.jpg")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "labels_3.txt").write_text("0 1")
    (tmp_path / "4.jpg").mkdir()
    assert names(FolderSource(tmp_path)) == ["1.jpg"]


def test_two_images_with_one_number_are_an_error_that_names_both(tmp_path: Path) -> None:
    write_image(tmp_path / "frame_1.jpg")
    write_image(tmp_path / "frame_001.png")
    with pytest.raises(SourceError, match=r"two images with the number 1: (?=.*frame_1\.jpg)(?=.*frame_001\.png)"):
        FolderSource(tmp_path)


def test_a_picture_without_number_among_numbered_ones_is_an_error(tmp_path: Path) -> None:
    write_image(tmp_path / "frame_1.jpg")
    write_image(tmp_path / "cover.jpg")
    with pytest.raises(SourceError, match=r"cover\.jpg"):
        FolderSource(tmp_path)


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no images"):
        FolderSource(tmp_path)
    with pytest.raises(SourceError, match="no such folder"):
        FolderSource(tmp_path / "nothing")


def test_a_rate_of_zero_is_an_error(tmp_path: Path) -> None:
    write_image(tmp_path / "1.jpg")
    with pytest.raises(SourceError, match="above 0"):
        FolderSource(tmp_path, fps=0.0)


def read_all(source: FolderSource) -> tuple[list[Image | None], list[str]]:
    with source.open() as reader:
        images = []
        while reader.grab() is not None:
            images.append(reader.retrieve())
        return images, reader.unreadable


def test_unreadable_images_are_named_and_give_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for number in range(1, 6):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), noise)
    (tmp_path / "2.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").write_bytes(b"no image at all")
    whole = (tmp_path / "4.jpg").read_bytes()
    (tmp_path / "4.jpg").write_bytes(whole[: len(whole) // 2])
    source = FolderSource(tmp_path)
    source.check()
    images, unreadable = read_all(source)
    assert [image is None for image in images] == [False, True, True, True, False]
    assert unreadable == ["2.jpg", "3.jpg", "4.jpg"]


def test_an_image_deleted_after_listing_is_unreadable(tmp_path: Path) -> None:
    write_image(tmp_path / "1.jpg")
    write_image(tmp_path / "2.jpg")
    source = FolderSource(tmp_path)
    (tmp_path / "2.jpg").unlink()
    assert read_all(source)[1] == ["2.jpg"]


def test_a_folder_without_one_readable_image_fails_its_check(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"no image in .* can be read \(1 image\)"):
        FolderSource(tmp_path).check()


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(np.full((4, 5), 80, np.uint8), id="grey"),
        pytest.param(np.full((4, 5, 4), 80, np.uint8), id="alpha"),
        pytest.param(np.full((4, 5), 80 * 257, np.uint16), id="16 bit"),
    ],
)
def test_every_kind_of_picture_becomes_8_bit_colour(
    tmp_path: Path, picture: NDArray[np.uint8] | NDArray[np.uint16]
) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture)
    (image,), _ = read_all(FolderSource(tmp_path))
    assert image is not None
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8
    assert np.all(image == 80)


def test_broken_files_and_cameras_write_nothing_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0broken")
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "broken.avi").write_bytes(b"RIFF0000AVI broken")
    program = """
import sys
from pathlib import Path
from monitor.errors import MonitorError
from monitor.sources.camera import CameraSource
from monitor.sources.folder import FolderSource
from monitor.sources.video import VideoSource
folder = Path(sys.argv[1])
sources = [FolderSource(folder), VideoSource(folder / "broken.avi"), CameraSource("a", "rtsp://127.0.0.1:9/x"),
           CameraSource("b", "http://127.0.0.1:9/x"), CameraSource("c", 97)]
for source in sources:
    try:
        source.check() if not source.live else source.open()
    except MonitorError:
        print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.split() == ["refused"] * 5
    assert done.stderr == ""


def jpeg(thumbnail: bytes = b"") -> bytes:
    picture = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    if thumbnail:  # in a segment for applications, as cameras store it
        segment = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
        data = data[:2] + segment + data[2:]
    return data


@pytest.mark.parametrize("padding", [b"", b"\0" * 6000, b"\xff" * 6000, b"text" * 5000])
def test_what_a_camera_writes_behind_the_end_of_a_jpeg_does_not_matter(padding: bytes, tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(jpeg() + padding)
    image = read_image(path)
    assert image is not None
    assert image.shape == (48, 64, 3)


@settings(deadline=None, max_examples=60)
@given(kept=st.floats(0.0, 0.999), with_thumbnail=st.booleans())
def test_a_jpeg_that_is_cut_off_anywhere_is_unreadable(kept: float, with_thumbnail: bool) -> None:
    whole = jpeg(jpeg() if with_thumbnail else b"")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "1.jpg"
        path.write_bytes(whole)
        assert read_image(path) is not None
        path.write_bytes(whole[: int(kept * (len(whole) - 1))])
        assert read_image(path) is None


def test_real_images_with_padding_are_read() -> None:
    folder = SHARED_DATA / "field/padded"
    if not folder.exists():
        pytest.skip(f"needs the footage in {SHARED_DATA}")
    assert all(read_image(path) is not None for path in sorted(folder.iterdir()))


@pytest.mark.parametrize("kind", ["pipe", "endless", "huge"])
def test_what_turns_into_no_picture_during_a_run_is_one_unreadable_frame(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "1.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(10**12)
    assert read_image(path) is None


def encoded(kind: str) -> bytes:
    done, data = cv2.imencode(kind, np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3))
    assert done
    return data.tobytes()


@cases(60, 5000)
@example(content=encoded(".bmp")[:18] + b"\0\0\x20\0" + encoded(".bmp")[22:])  # two million pixels wide
@given(content=st.sampled_from([".png", ".jpg", ".bmp", ".tiff"]).flatmap(lambda kind: broken(encoded(kind))))
def test_a_picture_of_any_bytes_is_read_or_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1.img"
    path.write_bytes(content)
    image = read_image(path)
    assert image is None or (image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3)
