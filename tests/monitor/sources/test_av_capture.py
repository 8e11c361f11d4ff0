from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from av.video.stream import VideoStream

from monitor.app.doctor.facts import Failure, Request, Trouble
from monitor.app.doctor.stream_check import watch_url
from monitor.errors import CaptureError, SourceError
from monitor.sources.av_capture import AvCapture, survey
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.opencv import open_capture
from monitor.sources.video import VideoSource
from monitor.testing.web_camera import WebCamera
from monitor.types import Image
from tests.helpers.made_footage import write_video

Size = tuple[int, int]


def film(path: Path, sizes: Sequence[Size] = ((64, 48),), codec: str = "libx264", frames: int = 6) -> Path:
    """A video with one stream per size. Each frame is brighter at the top left, and brighter than the one before."""
    with av.open(str(path), "w") as container:
        streams = [cast(VideoStream, container.add_stream(codec, 10)) for _ in sizes]
        for stream, (width, height) in zip(streams, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            for stream, size in zip(streams, sizes, strict=True):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(size, 20 * number), "bgr24")))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def drawn(size: Size, level: int) -> Image:
    image = np.full((size[1], size[0], 3), level, np.uint8)
    image[: size[1] // 2, : size[0] // 2] = 250
    return image


def seen(path: Path) -> list[tuple[float, tuple[int, ...]]]:
    source = VideoSource(path)
    source.check()
    found = []
    with source.open() as reader:
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            assert image is not None
            found.append((round(position.time_s, 3), image.shape))
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("sizes", [[(32, 24), (96, 64)], [(96, 64), (32, 24)], [(16, 16), (96, 64), (32, 24)]])
def test_the_largest_of_several_video_streams_is_shown(tmp_path: Path, suffix: str, sizes: list[Size]) -> None:
    found = seen(film(tmp_path / f"two{suffix}", sizes))
    assert [time_s for time_s, _ in found] == pytest.approx([number / 10 for number in range(6)])
    assert {shape for _, shape in found} == {(64, 96, 3)}


def test_a_cover_is_no_video_though_it_is_larger(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", 10)
        cover.width, cover.height, cover.pix_fmt = 320, 320, "yuvj420p"
        setattr(cover, "disposition", Disposition.attached_pic.value)  # noqa: B010 - PyAV 16 wants the number, its stubs not
        stream = container.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(cover.encode(av.VideoFrame.from_ndarray(drawn((320, 320), 9), "bgr24")))
        for number in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(drawn((64, 48), 20 * number), "bgr24")))
        container.mux(stream.encode(None))
    assert {shape for _, shape in seen(path)} == {(48, 64, 3)}


def test_av1_is_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "av1.mp4", codec="libsvtav1")
    found = survey(str(path))
    assert found is not None
    assert not found.opencv
    assert len(seen(path)) == 6
    isolate(VideoSource(path), "process").check()


def test_a_camera_that_sends_av1_is_told_to_send_something_else(tmp_path: Path) -> None:
    data = film(tmp_path / "av1.mkv", codec="libsvtav1").read_bytes()
    with WebCamera(
        {"/live": lambda: (200, {"Content-Type": "video/x-matroska", "Content-Length": ""}, data)}
    ) as camera:
        url = camera.url("/live")
        with pytest.raises(CaptureError, match=r"sends AV1, .*: set the camera to H\.264 or H\.265"):
            CameraSource("gate", url).open()
        found = watch_url(Request("url", url, 1.0, 25.0, 5.0, 4.0, 1.0, 20.0), lambda _: None)
    assert found == Failure(Trouble.UNKNOWN_CODEC, "av1")


def test_an_unknown_codec_is_said_to_be_one(tmp_path: Path) -> None:
    path = film(tmp_path / "odd.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"xyz1"))
    with pytest.raises(SourceError, match=r"odd\.mp4 holds video of a codec that this FFmpeg does not know"):
        VideoSource(path).check()


def test_garbage_and_what_is_missing_has_no_streams(tmp_path: Path) -> None:
    (tmp_path / "garbage.mp4").write_bytes(b"\x00\x01garbage" * 500)
    for name in ("garbage.mp4", "missing.mp4", ""):
        assert survey(str(tmp_path / name)) is None


def test_usual_files_are_left_to_opencv(tmp_path: Path) -> None:
    for path in (film(tmp_path / "a.mp4"), write_video(tmp_path / "b.avi")):
        found = survey(str(path))
        assert found is not None
        assert found.opencv


@pytest.mark.parametrize(
    "matrix",
    [
        (0x10000, 0, 0, 0x10000),  # upright
        (0, 0x10000, -0x10000, 0),  # as phones write it
        (-0x10000, 0, 0, -0x10000),
        (0, -0x10000, 0x10000, 0),
    ],
)
def test_it_shows_the_same_pictures_as_opencv_upright_too(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = film(tmp_path / "turned.mp4", [(64, 48)])
    data = path.read_bytes()
    upright, turned = (b"".join(n.to_bytes(4, "big", signed=True) for n in values) for values in (
        (0x10000, 0, 0, 0, 0x10000), (matrix[0], matrix[1], 0, matrix[2], matrix[3])
    ))  # fmt: skip
    at = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])
    ours, theirs = AvCapture(str(path), 0), open_capture(str(path))
    for _ in range(6):
        assert ours.grab() and theirs.grab()  # noqa: PT018 - they step together
        (_, our), (_, their) = ours.retrieve(), theirs.retrieve()
        assert our is not None
        assert our.shape == their.shape
        assert np.abs(our.astype(int) - their).mean() < 3
        assert ours.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(theirs.get(cv2.CAP_PROP_POS_MSEC), abs=0.1)
    assert not ours.grab()
    assert (ours.get(cv2.CAP_PROP_FPS), ours.get(cv2.CAP_PROP_FRAME_COUNT)) == (10.0, 6.0)
    memory = np.empty_like(our)
    _, again = ours.retrieve(memory)
    assert again is None, "there is no last frame"
    ours.release()
    theirs.release()
