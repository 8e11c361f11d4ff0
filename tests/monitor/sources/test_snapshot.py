from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Callable
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.errors import CaptureError, StallError
from monitor.sources.camera import CameraSource
from monitor.sources.source import Position, Reader
from monitor.sources.web import RefusedError, Web, why_no_video
from monitor.sources.web_address import looks_like_picture
from monitor.sources.web_recording import is_recording
from monitor.testing.web_camera import PASSWORD, USER, Answer, WebCamera

WHO = f"{quote(USER)}:{quote(PASSWORD, safe='')}@"


def encoded(level: int, suffix: str = ".jpg") -> bytes:
    return cv2.imencode(suffix, np.full((24, 32, 3), level, np.uint8))[1].tobytes()


def pictures(kind: str = "image/jpeg", suffix: str = ".jpg") -> Callable[[], Answer]:
    levels = itertools.cycle([encoded(level, suffix) for level in range(0, 240, 40)])
    return lambda: (200, {"Content-Type": kind}, next(levels))


def always(body: bytes, kind: str = "", status: int = 200, **headers: str) -> Callable[[], Answer]:
    given = {"Content-Type": kind, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return lambda: (status, given, body)


def source(url: str, *, timeout_s: float = 4.0, fps: float = 30.0) -> CameraSource:
    return CameraSource("door", url, open_timeout_s=timeout_s, read_timeout_s=timeout_s, snapshot_fps=fps)


def next_of(reader: Reader) -> Position:
    position = reader.grab()
    assert position is not None
    return position


@pytest.mark.parametrize(
    ("path", "kind", "suffix"),
    [
        ("/snap.jpg", "image/jpeg", ".jpg"),
        ("/cgi-bin/snapshot.cgi", "image/jpeg", ".jpg"),
        ("/snap.JPG?user=1", "application/octet-stream", ".jpg"),
        ("/snap.png", "image/png", ".png"),
        ("/picture", "image/png", ".png"),
        ("/snap.webp", "image/webp", ".webp"),
    ],
)
def test_an_address_of_a_picture_is_polled(path: str, kind: str, suffix: str) -> None:
    with (
        WebCamera({path.partition("?")[0]: pictures(kind, suffix)}) as camera,
        source(camera.url(path)).open() as reader,
    ):
        positions, levels = [], []
        for _ in range(3):
            positions.append(next_of(reader))
            image = reader.retrieve()
            assert image is not None
            assert image.shape == (24, 32, 3)
            levels.append(round(float(image.mean()), -1))
        assert reader.fps == 30.0
    assert [position.index for position in positions] == [0, 1, 2]
    assert positions[0].time_s < positions[1].time_s < positions[2].time_s
    assert len(set(levels)) == 3


def test_it_is_asked_at_the_set_rate() -> None:
    with WebCamera({"/snap.jpg": pictures()}) as camera, source(camera.url("/snap.jpg"), fps=20.0).open() as reader:
        assert reader.fps == 20.0
        times = [next_of(reader).time_s for _ in range(4)]
        assert times[-1] - times[0] >= 0.95 * 3 / 20.0


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_it_logs_in(login: str) -> None:
    with WebCamera({"/snap.jpg": pictures()}, login) as camera, source(camera.url("/snap.jpg", WHO)).open() as reader:
        reader.grab()
        assert reader.retrieve() is not None


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_a_wrong_password_is_named_never_shown_and_tried_only_once(login: str) -> None:
    with WebCamera({"/snap.jpg": pictures()}, login) as camera:
        with pytest.raises(RefusedError, match=r"the user or the password is wrong.*\(401\)") as caught:
            source(camera.url("/snap.jpg", "admin:Planted%2F1@")).open()
        assert "Planted" not in str(caught.value)
        assert camera.refused <= 3


def test_a_password_goes_to_no_other_host() -> None:
    with WebCamera({"/snap.jpg": pictures()}, "basic") as other:
        moved = always(b"", status=302, Location=other.url("/snap.jpg"))
        with WebCamera({"/snap.jpg": moved}) as camera, pytest.raises(RefusedError, match="401"):
            Web(camera.url("/snap.jpg", WHO), 4.0).fetch(1000)
        assert other.refused == 1
    assert other.asked == ["/snap.jpg"]


_REFUSED = {
    "loop": ("/loop.jpg", "in a circle, at last to http://127.0.0.1:"),
    "file": ("file:///etc/passwd", "to a file:// address, which is not followed: give another address"),
    "ftp": ("ftp://127.0.0.1:1/x.jpg", "to a ftp:// address, which is not followed: give another address"),
    "rtsp": ("rtsp://joe:secret@127.0.0.1:9/x", "to rtsp://***@127.0.0.1:9/x: give that address"),
    "none": ("http://[::1", "to what is no address (302): give another one"),
}


def test_redirects_are_followed_a_few_times_and_to_the_web_only() -> None:
    with WebCamera({}) as camera:
        camera._answers |= {
            "/old.jpg": always(b"", status=302, Location="/new.jpg"),
            "/new.jpg": pictures(),
            "/slash.jpg": always(b"", status=301, Location=camera.url("/new.jpg").removeprefix("http:")),
            **{f"/{name}.jpg": always(b"", status=302, Location=leads) for name, (leads, _) in _REFUSED.items()},
            **{f"/{n}.jpg": always(b"", status=302, Location=f"/{n + 1}.jpg") for n in range(20)},
            "/nowhere.jpg": always(b"", status=302),
        }
        with source(camera.url("/old.jpg")).open() as reader:
            reader.grab()
        with source(camera.url("/slash.jpg")).open() as reader:
            reader.grab()
        for name, (_, sentence) in _REFUSED.items():
            with pytest.raises(CaptureError) as caught:
                source(camera.url(f"/{name}.jpg")).open()
            assert f"redirects {sentence}" in str(caught.value)
            assert "secret" not in str(caught.value)
            assert "passwd" not in str(caught.value)
        before = len(camera.asked)
        with pytest.raises(CaptureError, match=r"redirects more than 5 times, at last to http://127\.0\.0\.1:\d+/"):
            source(camera.url("/0.jpg")).open()
        with pytest.raises(CaptureError, match=r"redirects without saying where \(302\): give another address"):
            source(camera.url("/nowhere.jpg")).open()
    assert len(camera.asked) < before + 10


def test_the_same_picture_is_no_new_frame_until_two_seconds_have_passed() -> None:
    """So the camera is seen as frozen, and not as stalled. Half a short timeout acts like two seconds."""
    with (
        WebCamera({"/snap.jpg": always(encoded(9), "image/jpeg")}) as camera,
        source(camera.url("/snap.jpg"), timeout_s=0.4).open() as reader,
    ):
        first, second = next_of(reader), next_of(reader)
    assert second.time_s - first.time_s >= 0.2
    assert len(camera.asked) > 4


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (always(b"<html>Login</html>", "text/html"), CaptureError, "answers a web page, not a picture"),
        (always(b"", "image/jpeg"), StallError, "sent nothing for 0.4 s"),
        (always(b"", status=503), CaptureError, r"the server answers 503"),
        (always(b"", status=404), RefusedError, r"nothing at this path \(404\)"),
        (always(encoded(1), Content_Length=str(10**9)), CaptureError, "more than a picture has"),
        (always(encoded(1), Content_Length="5000"), CaptureError, "closed the connection within a picture"),
    ],
)
def test_what_is_no_picture_any_more_is_said(
    answer: Callable[[], Answer], error: type[CaptureError], sentence: str
) -> None:
    answers = itertools.chain([pictures()] * 2, itertools.repeat(answer))
    with (
        WebCamera({"/snap.jpg": lambda: next(answers)()}) as camera,
        source(camera.url("/snap.jpg"), timeout_s=0.4).open() as reader,
    ):
        reader.grab()
        with pytest.raises(error, match=sentence):
            reader.grab()


@pytest.mark.parametrize("path", ["/snap.jpg", "/live"])
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            always(b"<html>session expired</html>", "text/html"),
            "a web page (text/html), not a picture: check the path, or log in",
        ),
        (always(b"Please log in", "text/html"), "a web page (text/html), not a picture: check the path, or log in"),
        (always(gzip.compress(bytes(1_000_000)), "image/jpeg", Content_Encoding="gzip"), "compressed data (gzip), not"),
        (always(b"", "image/jpeg"), "nothing (0 bytes), not a picture: check the path"),
        (always(b"busy", "text/plain"), "text (text/plain), not a picture: check the path"),
        (always(b'{"error": 1}', "application/json"), "text (application/json), not a picture: check the path"),
        (always(b"busy", "text/\x1b[31m" + "x" * 999), "text, not a picture: check the path"),
    ],
)
def test_an_answer_that_is_no_picture_is_named(path: str, answer: Callable[[], Answer], sentence: str) -> None:
    sent = itertools.chain([answer], itertools.repeat(answer))
    with (
        WebCamera({path: lambda: next(sent)()}) as camera,
        pytest.raises(CaptureError) as caught,
        source(camera.url(path)).open() as reader,
    ):
        reader.grab()
    said = str(caught.value)
    if path == "/snap.jpg":
        assert f"answers {sentence}" in said
    assert "a wrong path, user or password" not in said
    assert "closed the connection" not in said
    assert "\x1b" not in said
    assert "xxx" not in said


def test_a_login_page_after_good_pictures_is_named_when_the_camera_is_opened_again() -> None:
    answers = itertools.chain([pictures()] * 2, itertools.repeat(always(b"<html>log in</html>", "text/html")))
    with WebCamera({"/snap.jpg": lambda: next(answers)()}) as camera:
        with source(camera.url("/snap.jpg"), timeout_s=0.4).open() as reader:
            reader.grab()
            with pytest.raises(CaptureError, match="answers a web page, not a picture: check the path, or log in"):
                reader.grab()
        with pytest.raises(CaptureError, match=r"answers a web page \(text/html\), not a picture"):
            source(camera.url("/snap.jpg")).open()


def test_a_single_failure_is_tried_again() -> None:
    answers = itertools.chain([pictures()] * 2, [always(b"", status=503)], itertools.repeat(pictures("image/jpeg")))
    with WebCamera({"/snap.jpg": lambda: next(answers)()}) as camera, source(camera.url("/snap.jpg")).open() as reader:
        assert [next_of(reader).index for _ in range(2)] == [0, 1]


def test_a_damaged_picture_is_unreadable_and_the_next_one_is_not() -> None:
    answers = iter([encoded(1), encoded(1), encoded(80)[:200], encoded(120)])
    with (
        WebCamera({"/snap.jpg": lambda: (200, {"Content-Type": "image/jpeg"}, next(answers))}) as camera,
        source(camera.url("/snap.jpg")).open() as reader,
    ):
        seen = []
        for _ in range(3):
            reader.grab()
            seen.append(reader.retrieve() is not None)
    assert seen == [True, False, True]


def test_a_server_that_trickles_cannot_stretch_the_deadline() -> None:
    slow = WebCamera({})

    def trickle() -> Answer:
        time.sleep(0.5)  # the server's delay; nothing is waited for
        return 200, {}, b"late"

    slow._answers["/snap.jpg"] = trickle
    with slow, pytest.raises(StallError, match=r"did not answer within 0\.2 s"):
        Web(slow.url("/snap.jpg"), 0.2).fetch(100)


@settings(max_examples=20, deadline=None)
@example("[")
@example("[::1")
@example(":x")
@example("0.1:99999999999")
@example("/\u0436?\u0436=%zz")
@example("/\x00\x7f")
@given(st.text().map(lambda text: f"/{text}"))
def test_any_address_is_an_error_of_its_camera_at_most(rest: str) -> None:
    url = f"http://127.0.0.1:9{rest}.mp4"
    looks_like_picture(url)
    assert not is_recording(url, 0.2)
    why_no_video(url, 0.2)
    with pytest.raises(CaptureError):
        Web(url, 0.2).ask()


def test_a_path_in_another_script_is_encoded() -> None:
    with (
        WebCamera({"/%D0%B6.jpg": pictures()}) as camera,
        source(camera.url("/\u0436.jpg?a=%20b&c=d")).open() as reader,
    ):
        next_of(reader)
    assert camera.asked[-1] == "/%D0%B6.jpg?a=%20b&c=d"


def test_an_endless_body_is_cut() -> None:
    endless = always(b"x" * 300_000, Content_Length="")
    with WebCamera({"/a": endless}) as camera, pytest.raises(CaptureError, match="more than"):
        Web(camera.url("/a"), 4.0).fetch(100_000)


def test_a_stream_is_no_snapshot_even_if_its_name_is_one() -> None:
    part = b"--f\r\nContent-Type: image/jpeg\r\n\r\n" + encoded(30) + b"\r\n"
    stream = always(part * 400, "multipart/x-mixed-replace; boundary=f", Content_Length="")
    with WebCamera({"/video.jpg": stream}) as camera, source(camera.url("/video.jpg")).open() as reader:
        assert [reader.grab() is not None for _ in range(3)] == [True] * 3
        assert camera.asked == ["/video.jpg"] * 2


@pytest.mark.parametrize(
    ("answer", "login", "why"),
    [
        (always(b"<!doctype html><title>Login</title>", "text/html"), None, "it sends a web page, no video"),
        (pictures(), "basic", r"it asks for a user name and a password \(401\)"),
        (always(b"", status=403), None, r"this user is not allowed to see it \(403\)"),
        (None, None, r"there is nothing at this path \(404\)"),
    ],
)
def test_why_there_is_no_video_is_named_without_a_login(
    answer: Callable[[], Answer] | None, login: str | None, why: str
) -> None:
    with WebCamera({"/live": answer} if answer else {}, login) as camera, pytest.raises(CaptureError, match=why):
        source(camera.url("/live")).open()


def test_a_login_in_the_address_of_what_is_no_picture_is_to_be_checked() -> None:
    with WebCamera({"/live": always(b"", "video/mp4")}, "basic") as camera:
        address = camera.url("/live").replace("http://", "http://joe:wrong@")
        with pytest.raises(CaptureError, match=r"\(401\); check those in the address|the password is wrong") as caught:
            source(address).open()
    assert "wrong@" not in str(caught.value)
