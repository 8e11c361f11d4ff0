from __future__ import annotations

import pytest

from monitor.errors import SourceError
from monitor.sources.camera import CameraSource
from monitor.sources.finding import open_sources
from monitor.sources.video import VideoSource
from monitor.testing.web_camera import Answer, WebCamera
from tests.helpers.made_footage import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("film") / "film.avi", frames=5, fps=10.0).read_bytes()


@pytest.mark.parametrize("path", ["/film.avi", "/FILM.AVI", "/film.avi?user=1"])
def test_a_recording_on_a_web_server_is_played_like_a_file(video: bytes, path: str) -> None:
    with WebCamera({path.partition("?")[0]: lambda: (200, {"Content-Type": "video/avi"}, video)}) as server:
        (source,) = open_sources([server.url(path, "user:Planted@")])
        assert isinstance(source, VideoSource)
        assert not source.live
        assert "Planted" not in source.label + source.name
        source.check()
        with source.open() as reader:
            times = [position.time_s for position in iter(reader.grab, None)]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_a_recording_that_cannot_be_decoded_is_refused() -> None:
    with WebCamera({"/film.avi": lambda: (200, {}, b"garbage" * 100)}) as server:
        (source,) = open_sources([server.url("/film.avi", "user:Planted@")])
        with pytest.raises(SourceError, match="is not a video") as caught:
            source.check()
    assert "Planted" not in str(caught.value)


LIVE: dict[str, Answer] = {
    "a stream without a length": (200, {"Content-Type": "video/mp4", "Content-Length": ""}, b"\0" * 100),
    "a web page": (200, {"Content-Type": "text/html"}, b"<html>Login</html>"),
    "a server that is broken now": (503, {}, b""),
    "nothing": (404, {}, b""),
}


@pytest.mark.parametrize("answer", LIVE)
def test_anything_else_is_a_camera_which_is_tried_again(answer: str) -> None:
    with WebCamera({"/live.mp4": lambda: LIVE[answer]}) as server:
        (source,) = open_sources([server.url("/live.mp4")])
        assert isinstance(source, CameraSource)


def test_a_server_that_does_not_answer_and_other_addresses_are_cameras_at_once() -> None:
    addresses = ["http://127.0.0.1:9/film.mp4", "http://127.0.0.1:9/mjpg", "rtsp://127.0.0.1:9/film.mp4"]
    assert all(isinstance(source, CameraSource) for source in open_sources(addresses))
