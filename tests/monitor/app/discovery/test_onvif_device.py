"""Asking a camera for its streams: logins, clocks, and answers that are hostile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from monitor.app.discovery.discover_command import describe_all
from monitor.app.discovery.onvif_device import FoundCamera, describe
from monitor.app.discovery.probing import Device, device_at
from monitor.app.discovery.soap import LARGEST, Login
from monitor.testing.onvif_camera import OnvifCamera

LOGIN = ("viewer", "pass & <word>")


def asked(camera: OnvifCamera, login: tuple[str, str] | None = None) -> FoundCamera:
    return describe(device_at(camera.place), None if login is None else Login(*login))


@pytest.fixture
def camera() -> Iterator[OnvifCamera]:
    with OnvifCamera() as opened:
        yield opened


def test_a_camera_gives_its_name_and_its_streams_the_largest_first(camera: OnvifCamera) -> None:
    camera.profiles.reverse()
    found = asked(camera)
    assert found.name == "Axis P1375"
    assert [(s.width, s.height, s.fps, s.codec) for s in found.streams] == [
        (2560, 1440, 25.0, "H264"),
        (640, 360, 15.0, "H264"),
    ]
    assert found.streams[1].url == "rtsp://127.0.0.1:554/onvif/sub-token"


@pytest.mark.parametrize("http_digest", [False, True], ids=["envelope", "http"])
@pytest.mark.parametrize("ahead_s", [0.0, -90_000.0], ids=["in time", "late clock"])
def test_a_user_logs_in_even_if_the_camera_s_clock_is_wrong(http_digest: bool, ahead_s: float) -> None:
    with OnvifCamera(login=LOGIN, http_digest=http_digest, ahead_s=ahead_s) as camera:
        found = asked(camera, LOGIN)
    assert len(found.streams) == 2, found.problem


@pytest.mark.parametrize("http_digest", [False, True], ids=["envelope", "http"])
def test_a_wrong_password_is_tried_once_and_never_sent(http_digest: bool) -> None:
    with OnvifCamera(login=LOGIN, http_digest=http_digest) as camera:
        found = asked(camera, ("viewer", "wrong"))
        assert found.denied
        assert found.streams == ()
        # By HTTP, the first request is the one that asks for the digest.
        assert camera.refused == (2 if http_digest else 1)
        assert asked(camera).denied


def test_addresses_of_other_machines_are_never_asked_nor_shown(camera: OnvifCamera) -> None:
    camera.media = camera.media.replace("127.0.0.1", "192.0.2.9")
    camera.stream = "rtsp://admin:12345@192.0.2.9:8554/live/{token}?a=b"
    found = asked(camera)
    assert found.streams[0].url == "rtsp://127.0.0.1:8554/live/main-token?a=b"


@pytest.mark.parametrize(
    "stream",
    [
        "file:///etc/passwd",
        "rtsp://",
        'rtsp://127.0.0.1/"\nsource = "x',
        "rtsp://127.0.0.1/\\u0041",
        "rtsp://127.0.0.1/${{HOME}}",
        "rtsp://127.0.0.1:99999/x",
        "rtsp://127.0.0.1/" + "x" * 4000,
        "",
    ],
)
def test_an_address_that_no_config_file_may_hold_is_not_used(camera: OnvifCamera, stream: str) -> None:
    camera.stream = stream
    found = asked(camera)
    assert found.streams == ()
    assert "no stream with an address" in found.problem


def test_odd_numbers_of_a_profile_are_unknown(camera: OnvifCamera) -> None:
    camera.profiles = [("t", -5, 10**9, 0)]
    (stream,) = asked(camera).streams
    assert (stream.width, stream.height, stream.pixels) == (0, 0, 0)
    assert math.isnan(stream.fps)


def test_a_camera_of_a_thousand_profiles_is_asked_for_some(camera: OnvifCamera) -> None:
    camera.profiles = [(f"t{number}", 640, 360, 10) for number in range(1000)]
    assert len(asked(camera).streams) == 16


BOMB = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><l>&b;</l>'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BOMB, "defines entities"),
        (b"<a>" + b"x" * (LARGEST + 10), "too long"),
        (b"<a>" * 100_000, "not XML"),
        (b"\x00\x01", "not XML"),
        (b"", "not XML"),
    ],
)
def test_a_hostile_document_is_one_sentence(camera: OnvifCamera, content: bytes, problem: str) -> None:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    camera.answer = send
    assert problem in asked(camera).problem


def test_a_redirection_is_not_followed(camera: OnvifCamera) -> None:
    with OnvifCamera() as other:

        def send(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", other.address)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        camera.answer = send
        assert asked(camera).problem
        assert other.asked == []


def test_an_offer_of_plain_passwords_is_not_taken(camera: OnvifCamera) -> None:
    sent: list[str | None] = []

    def send(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers.get("Authorization"))
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="x"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    camera.answer = send
    assert asked(camera, LOGIN).denied
    assert set(sent) == {None}


def test_a_camera_that_hangs_keeps_no_other_from_being_asked(camera: OnvifCamera) -> None:
    with OnvifCamera() as slow:
        slow.answer = slow.hang
        found = describe_all([device_at(slow.place), device_at(camera.place)], None, deadline_s=2.0)
    assert "did not answer completely within 2 s" in found[0].problem
    assert len(found[1].streams) == 2


def test_nobody_at_an_address_is_one_sentence() -> None:
    with OnvifCamera() as gone:
        place = gone.place
    found = describe(device_at(place), None)
    assert found == FoundCamera(device_at(place), "", problem="does not answer (Connection refused)")


def test_a_media_service_that_is_not_there_is_named_itself(camera: OnvifCamera) -> None:
    with OnvifCamera() as gone:
        camera.media = f"http://{gone.place}/onvif/media"
    problem = describe(device_at(camera.place), None).problem
    assert problem == f"has its media service at http://{gone.place}, which does not answer (Connection refused)"


def test_a_name_from_the_probe_is_used_if_there_is_no_other(camera: OnvifCamera) -> None:
    camera.answer = lambda handler: camera.reply(handler, "")
    assert describe(Device("127.0.0.1", camera.address, "Front door"), None).name == "Front door"
