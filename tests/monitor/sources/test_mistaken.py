from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import SourceError
from monitor.sources.camera import CameraSource
from monitor.sources.devices import device_index, is_device
from monitor.sources.finding import open_sources
from monitor.sources.mistaken import address_meant
from monitor.sources.video import VideoSource
from tests.helpers.made_footage import write_video


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("192.168.1.20", "rtsp://192.168.1.20/stream"),
        ("192.168.1.20:8080", "http://192.168.1.20:8080/stream"),
        ("192.168.1.20:554/Streaming/Channels/101", "rtsp://192.168.1.20:554/stream"),
        ("admin:secret@192.168.1.20/h264", "rtsp://USER:PASSWORD@192.168.1.20/stream"),
        ("admin:sec/ret@cam/h264", "rtsp://USER:PASSWORD@cam/stream"),
        ("[fe80::1]/live", "rtsp://[fe80::1]/stream"),
        ("camera.local", "rtsp://camera.local/stream"),
        ("nas:8554/door", "rtsp://nas:8554/stream"),
        ("rtsp:192.168.1.20/live", "rtsp://192.168.1.20/stream"),
        ("HTTPS:/camera/live", "https://camera/stream"),
        ("monday.mp4", None),
        ("videos/monday.mp4", None),
        ("my.folder/day.1/monday.mkv", None),
        ("10:00.mp4", None),
        ("frames_2024", None),
        ("", None),
    ],
)
def test_an_address_without_a_scheme_is_recognised(typed: str, meant: str | None) -> None:
    assert address_meant(typed) == meant


def test_the_sentence_says_what_to_write() -> None:
    with pytest.raises(SourceError, match=r"write its whole address, such as rtsp://192\.168\.1\.20/stream$"):
        open_sources(["door=192.168.1.20"])


@given(st.text(), st.sampled_from(["", "rtsp:", "rtsp:/", "u:PlantedSecret@", "rtsp:/u:PlantedSecret@"]))
def test_no_text_shows_a_password_or_raises_another_error(text: str, before: str) -> None:
    meant = address_meant(before + text) or ""
    assert "PlantedSecret" not in meant or "PlantedSecret" in text
    assert re.fullmatch(r"[ -~]*", meant)


def test_what_is_neither_a_file_nor_a_folder_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name, kind in ((tmp_path / "pipe.mp4", "a pipe"), (tmp_path / "socket", "a socket")):
            with pytest.raises(SourceError, match=f"{name.name} is {kind}.*: "):
                open_sources([str(name)])
    for device in ("/dev/zero", "/dev/null", "/dev/full"):
        with pytest.raises(SourceError, match=f"{device} is a device, but no camera: give "):
            open_sources([device])


def test_pipes_and_devices_in_a_folder_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "1.jpg")
    (tmp_path / "zero.avi").symlink_to("/dev/zero")
    video = write_video(tmp_path / "b.avi", frames=1)
    assert [source.label for source in open_sources([str(tmp_path)])] == [str(video)]


def test_a_camera_may_be_named_by_its_device() -> None:
    stable = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_A1B2C3D4-video-index0"
    found = open_sources(["/dev/video7", stable, f"door={stable}", "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0"])
    assert [source.name for source in found] == [
        "usb-7",
        "usb-046d_HD_Pro_Webcam_C920_A1B2C3D4-video-i",
        "door",
        "usb-pci-0000-00-14.0-usb-0-1-1.0",
    ]
    for source in found:
        assert isinstance(source, CameraSource)
        assert source.live
        assert not source.networked
        with pytest.raises(Exception, match=r"USB camera .* cannot be opened: not plugged in"):
            source.open()


def test_a_link_to_a_camera_is_a_camera(tmp_path: Path) -> None:
    link = tmp_path / "front-door"
    link.symlink_to("/dev/video3")
    assert is_device(link)
    assert device_index(link) == 3
    (source,) = open_sources([str(link)])
    assert isinstance(source, CameraSource)
    assert source.address == link, "another number of the camera later is followed"
    for path in (tmp_path, tmp_path / "gone", Path("/dev/video"), Path("/dev/zero"), Path("x" * 5000)):
        assert not is_device(path)


def test_a_link_to_itself_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not is_device(tmp_path / "loop")


@pytest.mark.parametrize(
    "name", ["loop.mp4", "loop.mp4/inside.mp4", "gone.mp4", "north=loop.mp4", "x" * 300, "x/" * 3000]
)
def test_a_path_that_leads_nowhere_concerns_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop.mp4").symlink_to("loop.mp4")
    Path("gone.mp4").symlink_to("nothing.mp4")
    write_video(tmp_path / "good.avi", frames=2)
    bad, good = open_sources([name, "good.avi"], keep_unreadable=True)
    assert good.name == "good"
    with pytest.raises(
        SourceError, match=r"^the link .*\.mp4 leads to no file or folder: " if "mp4" in name else "xx?x?"
    ):
        bad.check()
    assert not bad.live


@pytest.mark.parametrize(
    "name", ["10:00.avi", "http:x.avi", "file:y.avi", "concat:z.avi", "-i.avi", "a%d.avi", "#?.avi"]
)
def test_a_file_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_video(tmp_path / "plain.avi", frames=2).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (source,) = open_sources([name])
    assert isinstance(source, VideoSource)
    source.check()
    with source.open() as reader:
        assert reader.grab() is not None
        assert reader.retrieve() is not None


@pytest.mark.parametrize(
    "typed", ["cam.local:554/hunter2XYZ/live", "door=cam:80/tok/hunter2XYZ", "cam.local/hunter2XYZ"]
)
def test_what_may_be_a_password_in_a_mistyped_address_is_not_shown(typed: str) -> None:
    with pytest.raises(SourceError, match="this is no file or folder: for a camera, write its whole address") as error:
        open_sources([typed])
    assert "hunter2" not in str(error.value)
