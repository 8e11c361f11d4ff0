"""The doctor on every kind of camera that fails, over real sockets and processes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from monitor.app.doctor.children import probe
from monitor.app.doctor.facts import Failure, StreamFacts, Trouble
from monitor.app.doctor.finding_report import State
from monitor.app.doctor.verdict import judge_stream
from monitor.testing.rtsp_server import RtspServer
from tests.helpers.examined import SECRET, failure, listening, request
from tests.places import SHARED_DATA

CRASHES_DECODER = SHARED_DATA / "faults/crashes_decoder.avi"


@contextmanager
def rtsp_that_says(status: str) -> Iterator[int]:
    """A port where every RTSP request gets the same status."""

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while asked := connection.recv(4096):
                    number = next(line for line in asked.decode().splitlines() if line.startswith("CSeq"))
                    connection.sendall(f"RTSP/1.0 {status}\r\n{number}\r\n\r\n".encode())

    with listening() as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:  # tests print nothing
        pass


class SlowCamera(QuietHandler):
    """MJPEG with a frame every 0.5 s."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=f")
        self.end_headers()
        over = threading.Event()  # never set: the pace of the camera
        for level in range(10, 250, 4):
            picture = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()
            part = b"--f\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(picture), picture)
            try:
                self.wfile.write(part)
            except OSError:
                return
            over.wait(0.5)


@contextmanager
def web_server(folder: Path, handler: type[QuietHandler] = QuietHandler) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A web page, a file with only sound, a recording, and the recording with an unknown codec."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "index.html").write_text("<html>the camera's own page</html>" * 50)
    with av.open(str(folder / "sound.ts"), "w") as container:
        sound = container.add_stream("mp2", rate=44100)
        assert isinstance(sound, av.AudioStream)
        for i in range(20):
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            heard.sample_rate, heard.pts = 44100, 1152 * i
            container.mux(sound.encode(heard))
        container.mux(sound.encode())
    with av.open(str(folder / "recording.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for i in range(50):
            picture = np.full((48, 64, 3), 4 * i, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
    recording = (folder / "recording.mkv").read_bytes()
    assert recording.count(b"V_MPEG4/ISO/ASP") == 1
    (folder / "unknown.mkv").write_bytes(recording.replace(b"V_MPEG4/ISO/ASP", b"V_MPEG4/XXX/ASP"))
    return folder


@pytest.mark.rtsp
def test_a_camera_that_works_is_described_and_a_wrong_path_is_named() -> None:
    with RtspServer({"/ball": "ball:320x240@25"}) as server:
        asked = request("url", server.url("/ball", f"admin:{SECRET}"), seconds=1.5)
        facts = probe(asked)
        wrong = failure("url", server.url("/nowhere", f"admin:{SECRET}"))
    assert isinstance(facts, StreamFacts)
    assert (facts.codec, facts.width, facts.height, facts.claimed_fps) == ("h264", 320, 240, 25.0)
    assert facts.fps == pytest.approx(25.0, rel=0.3)
    assert facts.key_frame_s == pytest.approx(0.4, abs=0.05), "every tenth frame"
    assert 0 < facts.open_s <= facts.first_picture_s < 10
    assert (facts.damaged, facts.ended, facts.stalled) == (0, False, False)
    said = judge_stream("door", facts, asked, 10.0).found
    assert "H.264 320x240" in said
    assert "key frame every 0.4 s" in said
    assert SECRET not in said
    assert wrong.found == "the camera has no stream with this path (404)"


def test_a_camera_with_few_frames_is_watched_until_its_rate_is_known(tmp_path: Path) -> None:
    with web_server(tmp_path, SlowCamera) as url:
        asked = replace(request("url", f"{url}/video", seconds=0.3), read_timeout_s=0.4, longest_s=30.0)
        facts = probe(asked)
    assert isinstance(facts, StreamFacts)
    assert facts.fps == pytest.approx(2.0, rel=0.3)
    assert not facts.stalled
    finding = judge_stream("door", facts, asked, 10.0)
    assert "set analysis_fps = 2" in finding.mend
    assert "set read_timeout_s = " in finding.mend


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("401 Unauthorized", "the user name or the password is wrong (401)"),
        ("403 Forbidden", "not allowed to watch"),
        ("453 Not Enough Bandwidth", "rejects the request"),
        ("503 Service Unavailable", "internal error"),
    ],
)
def test_a_camera_that_turns_the_request_down(status: str, found: str) -> None:
    with rtsp_that_says(status) as port:
        assert found in failure("url", f"rtsp://admin:{SECRET}@127.0.0.1:{port}/x").found


def test_a_camera_that_wants_a_password_which_nobody_gave() -> None:
    with rtsp_that_says("401 Unauthorized") as port:
        finding = failure("url", f"rtsp://127.0.0.1:{port}/x")
    assert finding.found == "it asks for a user name and a password (401)"
    assert "USER:PASSWORD@127.0.0.1" in finding.mend


def test_a_camera_that_refuses() -> None:
    finding = failure("url", f"rtsp://admin:{SECRET}@127.0.0.1:9/x")
    assert finding.found == "127.0.0.1 refuses connections on port 9"
    assert "RTSP is switched on" in finding.mend


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_stays_silent_is_given_up_in_time(scheme: str) -> None:
    with listening() as listener:
        started = time.monotonic()
        url = f"{scheme}://admin:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/x"
        finding = failure("url", url, open_timeout_s=0.6)
    assert "does not answer within 0.6 s" in finding.found
    assert time.monotonic() - started < 5


def test_an_unknown_host() -> None:
    assert failure("url", "rtsp://camera.invalid/x").found == "the host name camera.invalid is unknown"


def test_a_password_that_breaks_the_address() -> None:
    finding = failure("url", f"rtsp://admin:{SECRET}#@127.0.0.1/x")
    assert "%23" in finding.mend


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("index.html", "no video"),
        ("sound.ts", "no video, only audio"),
        ("unknown.mkv", "codec cannot be decoded"),
        ("none.mkv", "no stream with this path (404)"),
    ],
)
def test_an_address_without_a_video_that_can_be_decoded(served: Path, page: str, found: str) -> None:
    with web_server(served) as address:
        assert found in failure("url", f"{address}/{page}").found


def test_a_recording_is_no_camera(served: Path) -> None:
    with web_server(served) as address:
        asked = request("url", f"{address}/recording.mkv")
        facts = probe(asked)
    assert isinstance(facts, StreamFacts)
    assert (facts.ended, facts.pictures, facts.fps) == (True, 50, None)
    finding = judge_stream("door", facts, asked, 10.0)
    assert finding.state is State.WARNING
    assert "it ended by itself" in finding.mend


def test_a_usb_camera_that_is_not_there() -> None:
    assert failure("usb", "97").found == "it cannot be opened"


def test_a_probe_that_hangs_is_killed_at_its_deadline() -> None:
    started = time.monotonic()
    with listening() as listener:
        url = f"rtsp://127.0.0.1:{listener.getsockname()[1]}/x"
        found = probe(replace(request("url", url, open_timeout_s=60.0), deadline_s=1.5))
    assert found == Failure(Trouble.HUNG, "connecting")
    assert time.monotonic() - started < 5


def test_a_decoder_that_crashes_takes_nothing_with_it() -> None:
    if not CRASHES_DECODER.exists():
        pytest.skip(f"no {CRASHES_DECODER}")
    assert failure("video", str(CRASHES_DECODER)).found.startswith("decoding it crashes (SIG")
