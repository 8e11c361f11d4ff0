"""Pictures that would take gigabytes, and names that are no text: refused or read, but never the end of the process."""

from __future__ import annotations

import os
import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import CaptureError, SourceError
from monitor.processes import MOST_MEMORY
from monitor.sources.camera import CameraSource
from monitor.sources.finding import open_sources
from monitor.sources.folder import FolderSource, decode_image
from monitor.sources.isolated.decoder import Kind, Reply
from monitor.sources.isolated.isolated_source import IsolatedSource, isolate
from monitor.sources.opencv import is_text, open_capture
from monitor.sources.picture_budget import MOST_PIXELS, file_fits, fits
from monitor.sources.video import VideoSource
from tests.helpers.decoders import Plan
from tests.helpers.isolated import isolated
from tests.helpers.made_footage import write_video

NO_TEXT = os.fsdecode(b"caf\xe9 \xff.avi")


def bomb_png(width: int, height: int) -> bytes:
    """A PNG in one grey level whose header claims this size: a few bytes, however large the picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * min(10_000, width + 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def resized_header(suffix: str, width: int, height: int) -> bytes:
    """A small image file with another size written into its header."""
    done, encoded = cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))
    assert done
    data = bytearray(encoded.tobytes())
    if suffix == ".jpg":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    elif suffix == ".bmp":
        data[18:26] = struct.pack("<ii", width, height)
    else:
        for n in range(2, len(data) - 12, 2):
            kind = struct.unpack_from("<H", data, n)[0]
            if kind in (256, 257) and bytes(data[n + 2 : n + 4]) in (b"\3\0", b"\4\0"):
                value = width if kind == 256 else height
                data[n + 2 : n + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        bomb_png(30_000, 30_000),
        bomb_png(2**31 - 1, 1),
        bomb_png(9000, 9000),
        resized_header(".jpg", 65_000, 65_000),
        resized_header(".jpg", 20_000, 20_000),
        resized_header(".bmp", 30_000, 30_000),
        resized_header(".bmp", 1_000_000, 1),
        resized_header(".tiff", 60_000, 60_000),
    ],
    ids=lambda data: f"{data[:4]!r}",
)
def test_a_picture_bomb_is_not_decoded(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert not file_fits(data)
    assert decode_image(data) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_usual_pictures_are_decoded(suffix: str) -> None:
    done, data = cv2.imencode(suffix, np.full((24, 32, 3), 99, np.uint8))
    assert done
    assert file_fits(data.tobytes())
    image = decode_image(data.tobytes())
    assert image is not None
    assert image.shape == (24, 32, 3)


def test_the_budget_is_about_pixels_and_sides() -> None:
    assert fits(8192, 8192)
    assert not fits(8193, 8192)
    assert not fits(MOST_PIXELS, 1)
    assert not fits(0, 5)
    assert not fits(float("nan"), 5)


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM", b"II*\0", b"RIFF"])
)
def test_no_header_is_an_error(data: bytes, magic: bytes) -> None:
    assert file_fits(magic + data) in (True, False)
    image = decode_image(magic + data)
    assert image is None or image.size <= 3 * MOST_PIXELS


# Names that are no text


@pytest.fixture
def no_text(tmp_path: Path) -> Path:
    try:
        return write_video(tmp_path / "a.avi", frames=9).rename(tmp_path / NO_TEXT)
    except OSError:
        pytest.skip("this file system accepts only text in names")


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_video_is_read_although_its_name_is_no_text(no_text: Path, mode: str) -> None:
    source = isolate(VideoSource(no_text, "cafe"), mode)  # type: ignore[arg-type]
    source.label.encode()  # it can be sent
    source.check()
    with source.open() as reader:
        count = 0
        while reader.grab() is not None:
            assert reader.retrieve() is not None
            count += 1
    assert count == 9


def test_errors_about_it_can_be_sent(no_text: Path) -> None:
    no_text.write_bytes(b"this is no video")
    for source in (VideoSource(no_text, "a"), isolate(VideoSource(no_text, "a"), "process")):
        with pytest.raises(SourceError) as caught:
            source.open()
        str(caught.value).encode()
        assert r"caf\xe9" in str(caught.value)
    text = Reply(Kind.LOST, text="\udcff").pack()
    assert Reply.unpack(text).text == r"\udcff"


def test_no_name_crashes_opencv() -> None:
    names = (NO_TEXT, f"/nowhere/{NO_TEXT}", f"rtsp://127.0.0.1/{NO_TEXT}", "a\0b", int("9" * 20), -1, 2**31)
    assert not any(open_capture(name).isOpened() for name in names)
    assert not is_text(NO_TEXT)
    with pytest.raises(CaptureError, match="cannot be opened: not plugged in"):
        CameraSource("usb", int("9" * 20)).open()


@pytest.mark.parametrize("index", ["9" * 20, "9" * 5000, "100000"])
def test_a_usb_index_that_no_machine_has_is_refused(index: str) -> None:
    with pytest.raises(SourceError, match="no USB camera with the index"):
        open_sources([index])


def test_an_address_that_is_no_text_is_refused() -> None:
    with pytest.raises(SourceError, match="no text"):
        open_sources([f"rtsp://127.0.0.1/{NO_TEXT}"])


# Where they are decoded


def test_a_folder_is_decoded_in_a_process_that_may_die_alone(tmp_path: Path) -> None:
    for number, level in enumerate((10, 20, 30), 1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((24, 32, 3), level, np.uint8))
    (tmp_path / "2.png").write_bytes(bomb_png(30_000, 30_000))
    source = isolate(FolderSource(tmp_path, "folder"), "auto")
    assert isinstance(source, IsolatedSource)
    source.check()
    with source.open() as reader:
        seen = []
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            seen.append((position.index, reader.frame_name, None if image is None else int(image[0, 0, 0])))
    assert seen == [(0, "1.png", 10), (1, "2.png", None), (2, "3.png", 30)]
    for path in tmp_path.iterdir():
        path.write_bytes(bomb_png(30_000, 30_000))
    with pytest.raises(SourceError, match=r"no image in .* can be read"):
        source.check()
    assert isolate(FolderSource(tmp_path, "folder"), "thread") is not source


def test_a_decoder_may_not_take_the_memory_of_the_machine() -> None:
    with isolated(Plan()).open() as reader:
        limits = Path(f"/proc/{reader.pid}/limits").read_text().splitlines()
    (data,) = [line.split() for line in limits if line.startswith("Max data size")]
    assert int(data[3]) <= MOST_MEMORY
