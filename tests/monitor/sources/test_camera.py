"""Live cameras: the source alone over sockets; the capture loop over a real RTSP server, killed and frozen."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import CaptureError, StallError
from monitor.live.capture import CaptureSettings
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.isolated_source import Isolation, isolate
from monitor.sources.video import VideoSource
from monitor.states import CameraState
from monitor.testing.captured import captured, eventually
from monitor.testing.rtsp_server import RtspServer
from tests.helpers.made_footage import write_video

BALL = {"/ball": "ball:320x240@25"}


# Without a server


@contextmanager
def silent_server() -> Iterator[int]:
    """A port on which the system accepts connections, but no program answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_does_not_answer_is_given_up_at_the_deadline(scheme: str) -> None:
    with silent_server() as port:
        source = CameraSource("a", f"{scheme}://u:pw@127.0.0.1:{port}/x", open_timeout_s=0.6)
        started = time.monotonic()
        with pytest.raises(StallError, match=r"://\*\*\*@127.*did not answer within 0\.6 s"):
            source.open()
        assert time.monotonic() - started < 2.0


def test_a_camera_that_refuses_is_an_error_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(CaptureError, match=r"cannot be opened: 127\.0\.0\.1 refuses connections on port 9") as caught:
        CameraSource("a", "rtsp://admin:secret@127.0.0.1:9/x").open()
    assert not isinstance(caught.value, StallError)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 2.0


def test_a_usb_camera_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CaptureError, match="USB camera 97 cannot be opened"):
        CameraSource("a", 97).open()


def test_an_unreachable_camera_does_not_hold_up_the_opening_of_others(tmp_path: Path) -> None:
    video = VideoSource(write_video(tmp_path / "a.avi"))
    with silent_server() as port:
        slow = CameraSource("slow", f"rtsp://127.0.0.1:{port}/x", open_timeout_s=3.0)
        settings = CaptureSettings(backoff_min_s=0.01, backoff_max_s=0.01)
        with captured(slow, settings):
            started = time.monotonic()
            for _ in range(10):
                video.check()
                threading.Event().wait(0.01)
            assert time.monotonic() - started < 1.5


# Over a real RTSP server


@pytest.mark.rtsp
def test_a_stream_is_received_at_its_rate_and_size() -> None:
    with RtspServer(BALL) as server, captured(CameraSource("ball", server.url("/ball"))) as (capture, sink):
        assert sink.more(1)
        first = time.monotonic()
        assert sink.more(50)
        took_s = time.monotonic() - first
        status = capture.status
        pictures = [frame.image for frame in sink.frames[-3:]]
    assert took_s == pytest.approx(2.0, rel=0.4)
    assert status.state is CameraState.ONLINE
    assert (status.size, status.reconnects, status.stalls) == ((320, 240), 0, 0)
    assert all(picture.shape == (240, 320, 3) and picture.max() > 200 for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[2])
    # Frames that the server sent while the stream was opened are old and skipped: no burst at the start.
    assert sink.frames[10].time_s - sink.frames[0].time_s > 0.2
    assert all(a.time_s < b.time_s and a.index < b.index for a, b in pairwise(sink.frames))


@pytest.mark.rtsp
@pytest.mark.parametrize("hardware", [False, True])  # there is no hardware decoder here, so it is decoded in software
def test_a_video_file_is_served_in_a_loop(tmp_path: Path, hardware: bool) -> None:
    path = write_video(tmp_path / "short.avi", frames=10, fps=25.0)
    with (
        RtspServer({"/clip": str(path)}) as server,
        captured(CameraSource("c", server.url("/clip"), hardware=hardware)) as (_, sink),
    ):
        assert sink.more(25)
        levels = [float(frame.image.mean()) for frame in sink.frames]
    assert sink.frames[0].image.shape == (24, 32, 3)
    assert max(levels) - min(levels) > 100
    assert sum(1 for a, b in pairwise(levels) if b < a - 100) >= 2


@pytest.mark.rtsp
def test_a_killed_server_is_lost_and_found_again_and_another_camera_never_notices() -> None:
    with (
        RtspServer(BALL) as server,
        RtspServer(BALL) as other,
        captured(CameraSource("ball", server.url("/ball", "admin:secret"))) as (capture, sink),
        captured(CameraSource("other", other.url("/ball"))) as (bystander, steady),
    ):
        assert sink.more(5)
        assert steady.more(5)
        server.kill()
        assert eventually(lambda: capture.status.state is CameraState.OFFLINE, within_s=5.0)
        assert "***@" in capture.status.detail
        assert "secret" not in capture.status.detail
        from_here = len(steady.frames)
        assert steady.more(50)
        server.start()
        assert sink.segment(1)
        assert sink.more(10)
        status, unmoved = capture.status, bystander.status
        seen = [frame.captured_at for frame in steady.frames[from_here:]]
    assert status.state is CameraState.ONLINE
    assert (status.reconnects, status.stalls) == (1, 0)
    assert (unmoved.reconnects, unmoved.stalls) == (0, 0)
    assert {frame.segment for frame in steady.frames} == {0}
    assert max(b - a for a, b in pairwise(seen)) < 1.5


@pytest.mark.rtsp
def test_a_frozen_server_is_found_stalled_within_5_seconds_and_recovers_when_it_thaws() -> None:
    with RtspServer(BALL) as server, captured(CameraSource("ball", server.url("/ball"))) as (capture, sink):
        assert sink.more(5)
        server.freeze()
        frozen = time.monotonic()
        assert eventually(lambda: capture.status.state is CameraState.STALLED, within_s=5.0)
        assert time.monotonic() - frozen > 3.0
        assert eventually(lambda: capture.status.stalls == 1, within_s=2.0)
        assert capture.status.state is CameraState.STALLED
        server.thaw()
        assert sink.segment(1)
        assert capture.status.reconnects == 1


@pytest.mark.rtsp
def test_a_wrong_path_is_refused_and_a_camera_that_comes_back_with_another_size_is_taken() -> None:
    with RtspServer({"/small": "ball:160x120@25"}) as server:
        with pytest.raises(CaptureError, match="cannot be opened: a wrong path, user or password, or no video"):
            CameraSource("wrong", server.url("/nowhere")).open()
        soon = CaptureSettings(backoff_min_s=0.1, backoff_max_s=0.1)
        with captured(CameraSource("cam", server.url("/small")), soon) as (capture, sink):
            assert sink.more(3)
            server.kill()
            server.mounts["/small"] = "ball:320x240@25"
            server.start()
            assert sink.segment(1)
            assert capture.status.size == (320, 240)
        assert {frame.image.shape for frame in sink.frames} == {(120, 160, 3), (240, 320, 3)}


@pytest.mark.rtsp
def test_a_camera_absent_at_the_start_is_taken_when_it_appears() -> None:
    with (
        RtspServer(BALL, start=False) as server,
        captured(CameraSource("ball", server.url("/ball"))) as (capture, sink),
    ):
        assert eventually(lambda: capture.status.state is CameraState.OFFLINE)
        assert not sink.frames
        server.start()
        assert sink.more(5)
        assert (capture.status.state, capture.status.reconnects) == (CameraState.ONLINE, 1)


@pytest.mark.rtsp
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_camera_is_decoded_in_part_and_whole_again(mode: Isolation) -> None:
    with RtspServer({"/ball": "ball:320x240@75"}) as server:  # a key frame in every ten frames
        source = isolate(CameraSource("ball", server.url("/ball")), mode)
        with source.open() as reader:
            assert reader.sparing
            for _ in range(30):
                assert reader.grab() is not None
            reader.spare(0.5)
            found = [
                position for _ in range(60) if (position := reader.grab()) is not None and reader.retrieve() is not None
            ]
            reader.spare(1.0)
            later = [
                position for _ in range(40) if (position := reader.grab()) is not None and reader.retrieve() is not None
            ]
    assert len(found) == 60
    assert len(later) == 40
    assert not any(position.spared for position in found + later)
    assert all(b.index - a.index == 1 + b.passed for a, b in pairwise(found + later))
    assert {position.passed for position in found[20:]} == {0, 5}
    assert sum(position.passed for position in found[20:]) >= 30
    assert max(b - a for each in found for a, b in pairwise((*each.earlier_s, each.time_s))) < 0.5
    assert {position.passed for position in later[15:]} == {0}
