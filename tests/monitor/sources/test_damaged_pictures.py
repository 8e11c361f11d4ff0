"""A picture that cannot be decoded costs that picture: cameras, polled addresses and files go on."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from monitor.errors import CaptureError
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.opencv import MOST_UNDECODED_LIVE
from monitor.sources.source import Reader
from monitor.sources.video import VideoSource
from monitor.testing.web_camera import WebCamera

BAD = {
    "random bytes": np.random.default_rng(0).bytes(3000),
    "text": b"error: no picture now",
    "a web page": b"<html>busy</html>",
    "only a header": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01",
    "zeros": bytes(5000),
}


def picture(level: int) -> bytes:
    image = np.full((48, 64, 3), level, np.uint8)
    image[:20, :20] = 250
    return cv2.imencode(".jpg", image)[1].tobytes()


def seen(reader: Reader) -> tuple[str, str]:
    """What was read up to the end: "." for a picture, "x" for a frame without one; and the error at the end."""
    found, last_s, last = "", -1.0, -1
    try:
        while (position := reader.grab()) is not None:
            assert position.time_s > last_s
            assert position.index == last + 1
            last_s, last = position.time_s, position.index
            found += "x" if reader.retrieve() is None else "."
    except CaptureError as error:
        return found, str(error)
    return found, ""


def stream(pictures: Sequence[bytes]) -> WebCamera:
    """An MJPEG stream that always has a picture ready."""
    parts = [b"--f\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(p), p) for p in pictures]
    headers = {"Content-Type": "multipart/x-mixed-replace; boundary=f", "Content-Length": ""}
    return WebCamera({"/video": lambda: (200, headers, b"".join(parts))})


def test_an_mjpeg_stream_of_pictures_that_are_too_large_says_so() -> None:
    bomb = bytearray(picture(100))
    at = bomb.find(b"\xff\xc0")
    bomb[at + 5 : at + 9] = (30_000).to_bytes(2, "big") * 2
    with stream([bytes(bomb)] * 30) as camera:
        source = CameraSource("cam", camera.url("/video"), open_timeout_s=3.0, read_timeout_s=3.0)
        with source.open() as reader, pytest.raises(CaptureError, match="have more than 67108864 pixels: set a small"):
            reader.grab()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_an_mjpeg_stream_goes_on_after_pictures_that_cannot_be_decoded(bad: bytes) -> None:
    good = [picture(level) for level in range(0, 240, 20)] * 10
    with stream([*good, bad, *good[:5], bad, bad, *good[:5]]) as camera:
        source = CameraSource("door", camera.url("/video"))
        with source.open() as reader:
            found, error = seen(reader)
    # The backlog of a stream is skipped until a frame has to be waited for.
    assert found.endswith(".x.....xx.....")
    assert error.endswith("closed the connection")


def test_only_many_in_a_row_end_the_connection() -> None:
    good = [picture(level) for level in range(0, 240, 20)] * 10
    bad = BAD["random bytes"]
    with stream([*good, *[bad] * (MOST_UNDECODED_LIVE - 1), *good[:3], *[bad] * MOST_UNDECODED_LIVE, *good]) as camera:
        source = CameraSource("door", camera.url("/video"))
        with source.open() as reader:
            found, error = seen(reader)
    assert found.endswith("." + "x" * (MOST_UNDECODED_LIVE - 1) + "...")
    assert error


def test_a_decoder_of_its_own_tells_of_it_too() -> None:
    good = [picture(level) for level in range(0, 240, 20)] * 10
    with stream([*good, BAD["text"], *good[:5]]) as camera:
        source = isolate(CameraSource("door", camera.url("/video")), "process")
        with source.open() as reader:
            found, _ = seen(reader)
    assert found.endswith(".x.....")


def test_a_polled_address_goes_on_after_answers_without_a_picture() -> None:
    levels = iter(range(0, 250, 10))
    spoilt = iter([False, False, True, False, True, False])

    def answer() -> tuple[int, dict[str, str], bytes]:
        bad = next(spoilt, False)
        return 200, {"Content-Type": "image/jpeg"}, b"<html>busy</html>" if bad else picture(next(levels))

    with WebCamera({"/snap.jpg": answer}) as camera:
        source = CameraSource("door", camera.url("/snap.jpg"), snapshot_fps=30.0)
        with source.open() as reader:
            for _ in range(4):
                assert reader.grab() is not None
                assert reader.retrieve() is not None


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4"])
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_file_goes_on_after_frames_that_cannot_be_decoded(tmp_path: Path, suffix: str, bad: bytes) -> None:
    path = tmp_path / f"film{suffix}"
    frames = [bad if number in (0, 20, 21) else picture(4 * number) for number in range(50)]
    with av.open(str(path), "w") as container:
        track = container.add_stream("mjpeg", 10)
        track.width, track.height, track.pix_fmt = 64, 48, "yuvj420p"
        for number, data in enumerate(frames):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 10), track, True
            container.mux(packet)
    source = VideoSource(path)
    source.check()
    with source.open() as reader:
        assert seen(reader) == ("x" + "." * 19 + "xx" + "." * 28, "")
