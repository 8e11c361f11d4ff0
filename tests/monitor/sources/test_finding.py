from __future__ import annotations

import logging
import re
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from monitor.errors import CaptureError, SourceError
from monitor.sources.camera import CameraSource
from monitor.sources.finding import open_sources
from monitor.sources.folder import FolderSource
from monitor.sources.source import Position, Source
from monitor.sources.video import VideoSource
from tests.helpers.made_footage import write_image, write_video
from tests.places import SHARED_DATA as DATA


def names(sources: list[Source]) -> list[str]:
    return [source.name for source in sources]


def test_a_source_given_twice_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = write_video(tmp_path / "walk.avi", frames=1)
    (tmp_path / "link.avi").symlink_to(video)
    url = "rtsp://user:secret@10.0.0.2/live"
    opened = open_sources([str(video), f"door={url}", str(tmp_path / "link.avi"), "0", f"gate={url}", "/dev/video0"])
    assert len(opened) == 6, "it may be intended"
    doubles = [record.getMessage().partition(" are the same source")[0] for record in caplog.records]
    assert doubles == ["walk and link", "door and gate", "usb-0 and usb-0-2"]
    assert "secret" not in caplog.text


def test_different_sources_are_no_doubles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = write_video(tmp_path / "walk.avi", frames=1)
    open_sources([str(video), "rtsp://10.0.0.2/live/1", "rtsp://10.0.0.2/live/2", "0", "1"])
    assert not caplog.records


# Video files


def test_a_video_gives_its_frames_times_and_rate(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "walk.avi", frames=4, fps=10.0))
    source.check()
    with source.open() as reader:
        assert reader.fps == pytest.approx(10.0)
        seen = []
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            assert image is not None
            seen.append((position.index, round(position.time_s, 6), round(float(image.mean()), -1)))
    assert seen == [(0, 0.0, 0.0), (1, 0.1, 20.0), (2, 0.2, 40.0), (3, 0.3, 60.0)]


def test_a_picture_stays_as_it_is_when_the_next_is_read(tmp_path: Path) -> None:
    with VideoSource(write_video(tmp_path / "a.avi")).open() as reader:
        reader.grab()
        first = reader.retrieve()
        assert first is not None
        kept = first.copy()
        reader.grab()
        second = reader.retrieve()
    assert second is not None
    assert first.base is None
    assert np.array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_where_there_is_no_hardware_to_decode_on_software_gives_the_same_pictures(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    with VideoSource(video).open() as software, VideoSource(video, hardware=True, threads=1).open() as hardware:
        while (position := software.grab()) is not None:
            assert hardware.grab() == position
            np.testing.assert_array_equal(hardware.retrieve(), software.retrieve())
        assert hardware.grab() is None


def test_many_files_share_the_cores(tmp_path: Path) -> None:
    videos = [str(write_video(tmp_path / f"{i}.avi", frames=1)) for i in range(64)]
    (alone,) = open_sources(videos[:1])
    assert isinstance(alone, VideoSource)
    assert alone.threads is None
    assert {source.threads for source in open_sources(videos) if isinstance(source, VideoSource)} == {1}


@pytest.mark.parametrize("suffix", [".avi", ".ts"])
def test_a_cut_off_video_is_read_as_far_as_it_goes_and_said_to_be_so_where_it_says_how_long_it_is(
    tmp_path: Path, suffix: str
) -> None:
    path = write_video(tmp_path / f"a{suffix}", frames=100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    source = VideoSource(path)
    source.check()
    grabbed: list[Position] = []
    with source.open() as reader, pytest.raises(CaptureError) if suffix == ".avi" else nullcontext() as caught:
        grabbed.extend(iter(reader.grab, None))
    assert 0 < len(grabbed) < 100
    if caught is not None:
        assert re.search(r"a\.avi ends after \d\.\d of 10\.0 s: it is damaged or cut off", str(caught.value))


@pytest.mark.parametrize("content", [b"these are words", b"\x00" * 5000])
def test_what_is_no_video_fails_its_check(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.mp4 is not a video that OpenCV can read"):
        VideoSource(tmp_path / "a.mp4").check()


def test_an_empty_file_and_one_of_sound_alone_say_so(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SourceError, match=r"empty\.mp4 is empty \(0 bytes\)$"):
        VideoSource(tmp_path / "empty.mp4").check()
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match=r"sound\.mp4 holds sound, but no pictures$"):
        VideoSource(tmp_path / "sound.mp4").check()


def test_a_missing_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        VideoSource(tmp_path / "a.mp4").check()


@pytest.mark.parametrize(
    ("clip", "frames", "seconds"),
    [
        ("clips/vtest_480x360.mp4", 795, 79.4),
        ("avenue/testing_videos/19.avi", 248, 247 / 25),
        ("ped1/test/01.avi", 200, 19.9),
    ],
)
def test_real_footage_is_read_to_its_end(clip: str, frames: int, seconds: float) -> None:
    if not (DATA / clip).exists():
        pytest.skip(f"{clip} of the real footage is missing")
    with VideoSource(DATA / clip).open() as reader:
        grabbed: list[Position] = list(iter(reader.grab, None))
    assert [position.index for position in grabbed] == list(range(frames))
    assert grabbed[-1].time_s == pytest.approx(seconds, abs=1e-3)
    assert all(a.time_s < b.time_s for a, b in pairwise(grabbed))


# Arguments of the user


def test_a_folder_of_frames_is_one_stream(tmp_path: Path) -> None:
    write_image(tmp_path / "yard" / "1.jpg")
    write_image(tmp_path / "yard" / "2.jpg")
    (source,) = open_sources([str(tmp_path / "yard")], fps=12.0)
    assert isinstance(source, FolderSource)
    assert (source.name, source.fps, source.live) == ("yard", 12.0, False)


def test_each_leaf_of_a_tree_is_a_stream_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_image(tmp_path / "tree" / str(number) / "frame_1.jpg")
    write_image(tmp_path / "tree" / "3" / "deeper" / "frame_1.jpg")
    write_video(tmp_path / "tree" / "9.MP4")
    (tmp_path / "tree" / "empty").mkdir()
    (tmp_path / "tree" / ".hidden").mkdir()
    write_image(tmp_path / "tree" / ".hidden" / "1.jpg")
    sources = open_sources([str(tmp_path / "tree")])
    assert names(sources) == ["1", "2", "deeper", "9", "10"]
    assert [type(source) for source in sources] == [FolderSource, FolderSource, FolderSource, VideoSource, FolderSource]


@pytest.mark.parametrize("layout", ["frames", "videos"])
def test_of_a_data_set_only_the_part_that_is_meant_is_taken(tmp_path: Path, layout: str) -> None:
    for part, number in (("testing_videos", "01"), ("testing_videos", "02"), ("training_videos", "01")):
        if layout == "frames":
            write_image(tmp_path / "Avenue" / "Dataset" / part / number / "frame_00001.jpg")
        else:
            write_video(tmp_path / "Avenue" / "Dataset" / part / f"{number}.avi")
    root = [str(tmp_path / "Avenue")]
    assert names(open_sources(root)) == ["01", "02"]
    (training,) = open_sources(root, split="training_videos")
    assert "training_videos" in training.label


def test_frames_beside_sub_folders_are_a_stream_and_a_stray_picture_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        write_image(tmp_path / "both" / f"{number}.jpg")
        write_image(tmp_path / "both" / "sub" / f"{number}.jpg")
        write_image(tmp_path / "stray" / "sub" / f"{number}.jpg")
    write_image(tmp_path / "stray" / "plot.png")
    assert names(open_sources([str(tmp_path / "both")])) == ["both", "sub"]
    with caplog.at_level(logging.WARNING):
        assert names(open_sources([str(tmp_path / "stray")])) == ["sub"]
    assert "ignored because the folder holds other footage: 1 picture" in caplog.text


def test_folders_of_labels_are_no_footage_unless_named(tmp_path: Path) -> None:
    write_image(tmp_path / "Test" / "Test001" / "001.tif")
    write_image(tmp_path / "Test" / "Test001_gt" / "001.bmp")
    assert names(open_sources([str(tmp_path / "Test")])) == ["Test001"]
    assert names(open_sources([str(tmp_path / "Test" / "Test001_gt")])) == ["Test001_gt"]


def test_a_link_back_up_the_tree_is_not_followed_for_ever(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "01" / "1.jpg")
    (tmp_path / "a" / "01" / "back").symlink_to(tmp_path / "a")
    assert names(open_sources([str(tmp_path / "a")])) == ["01"]


def test_a_link_to_a_folder_above_brings_in_nothing_from_beside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path / "given" / "inside" / "1.jpg")
    write_image(tmp_path / "beside" / "1.jpg")
    write_image(tmp_path / "disk" / "cam" / "1.jpg")
    write_image(tmp_path / "disk" / "other" / "1.jpg")
    for link, target in (
        ("given/up", ".."),
        ("given/self", "."),
        ("given/inside/top", "/"),
        ("given/inside/round", "round"),
        ("given/other-name", "inside"),
        ("given/moved", "../disk/cam"),
        ("disk/cam/up", ".."),
        ("disk/cam/back", "../../given"),
    ):
        (tmp_path / link).symlink_to(target)
    assert sorted(names(open_sources([str(tmp_path / "given")]))) == ["cam", "inside"]
    told = {record.getMessage().split(":")[0] for record in caplog.records}
    assert told == {str(tmp_path / "given" / name) for name in ("up", "self", "inside/top", "moved/up", "moved/back")}
    assert {"beside", "inside", "other"} <= set(names(open_sources([str(tmp_path / "given" / "up")])))


def test_equal_names_are_told_apart_by_folder_or_counter(tmp_path: Path) -> None:
    for place in ("north/day", "south/day", "south/night"):
        write_image(tmp_path / place / "cam" / "1.jpg")
    same = str(write_video(tmp_path / "x.avi"))
    specs = [*(str(tmp_path / place) for place in ("north", "south")), same, same]
    assert names(open_sources(specs)) == ["north-day-cam", "south-day-cam", "night-cam", "x", "x-2"]


def test_names_are_safe_for_topics_and_files(tmp_path: Path) -> None:
    write_image(tmp_path / "Hof (Süd), links" / "1.jpg")
    assert names(open_sources([str(tmp_path / "Hof (Süd), links")])) == ["Hof-S-d-links"]


def test_cameras_are_named_by_host_without_credentials() -> None:
    sources = open_sources(
        [
            "rtsp://admin:secret@192.168.1.5:554/Streaming/Channels/101",
            "rtsp://192.168.1.5",
            "http://u:pw@[fe80::1]/mjpg?password=pw",
            "rtsp://10.0.0.1/user=admin_password=pw_stream=0.sdp",
            "0",
            "/dev/video2",
        ]
    )
    assert names(sources) == [
        "192.168.1.5-Streaming-Channels-101",
        "cam-192.168.1.5",
        "fe80-1-mjpg",
        "10.0.0.1-58cac8",
        "usb-0",
        "usb-2",
    ]
    assert all(isinstance(source, CameraSource) and source.live for source in sources)
    assert not any("secret" in source.label or "pw" in source.label for source in sources)


def test_the_name_of_a_camera_holds_no_part_of_a_path_that_may_be_a_secret() -> None:
    def name(address: str) -> str:
        return open_sources([address])[0].name

    token = name("rtsp://nvr:7447/AbC123xyz456")
    assert re.fullmatch("nvr-[0-9a-f]{6}", token)
    assert name("rtsp://joe:new@nvr:7447/AbC123xyz456?x=1") == token, "it is the same whoever watches"
    assert name("rtsp://nvr:7447/AbC123xyz457") != token
    assert name("rtsp://admin:pa/ss@host/live") == "host-live"
    assert re.fullmatch("cam-[0-9a-f]{6}", name("http://cam:80/snap.jpg?pw=p@ss")), "it is uncertain what is the host"
    assert len(name(f"rtsp://host/{'live/' * 60}")) < 40


def test_the_user_names_a_source(tmp_path: Path) -> None:
    for number in ("01", "02"):
        write_image(tmp_path / "tree" / number / "1.jpg")
    sources = open_sources(
        ["door=rtsp://h/x?a=b", f"yard={tmp_path}/tree/01", f"park={tmp_path}/tree", "usb=0", "rtsp://h/x?a=b"]
    )
    assert names(sources) == ["door", "yard", "park-01", "park-02", "usb", "h-x"]
    assert sources[0].label == "rtsp://h/x?***"


def test_an_equals_sign_in_a_file_name_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "speed=2.avi")
    monkeypatch.chdir(tmp_path)
    (source,) = open_sources(["speed=2.avi"])
    assert (source.name, source.label) == ("speed-2", "speed=2.avi")


def test_a_folder_called_like_a_number_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "01" / "1.jpg")
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_sources(["01"])[0], FolderSource)
    assert open_sources(["."])[0].name == "01"


def test_a_path_that_is_not_there_is_told_with_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        open_sources(["gone.mp4"])
    told = f"there is no file or folder gone.mp4: check the path, which is relative to {tmp_path}"
    assert str(caught.value) == told


@pytest.mark.parametrize(
    "spec",
    [
        "rtsp:/u:{}@host/x",
        "rtsp:/u:{} more@host/x",
        "u:{}@host/x",
        "door=u:{}@host/x",
        "192.168.1.20/x?pin={}",
        "rtps://u:{}@host/x",
        "rtsp://u:{}@[::1/x",
        "rtsp://u:{} x@host/x",
        "{}@home=0",
    ],
)
def test_the_sentence_about_a_mistyped_address_holds_no_password(spec: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_sources([spec.format("hunter2")])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("specs", "sentence"),
    [
        (["/dev/null"], "/dev/null is a device, but no camera: give the index of a USB camera"),
        (["/no/such/place"], "there is no file or folder /no/such/place: check the path$"),
        (["ftp://user:pw@host/x"], "unknown kind of address ftp://: use rtsp://, rtsps://, http://, https://"),
        (["rtsp:///x"], r"rtsp://\*\*\* contains no host name"),
        (
            ["http://127.0.0.1:99999/"],
            r"http://127\.0\.0\.1:99999/ has a port that cannot exist: write a number from 1 to",
        ),
        (["rtsp://127.0.0.1:-1/x"], r"rtsp://\*\*\* has a port that cannot exist"),
        (["rtsp://u:pw@127.0.0.1:0/x"], r"rtsp://\*\*\*@127\.0\.0\.1:0/x has a port that cannot exist"),
        (["rtsp://[::1]:65536/x"], r"rtsp://\[::1\]:65536/x has a port that cannot exist"),
        (["rtsp://user:pw"], r"rtsp://\*\*\* has a port that cannot exist: .* user and password stand before an @$"),
        (
            ["rtsp://%00/"],
            r"rtsp://\*\*\* has a host that cannot exist: write the host name or IP address of the camera",
        ),
        (["rtsp://192.168.1.256/x"], r"rtsp://192\.168\.1\.256/x has a host that cannot exist"),
        (["rtsp://cam..lan/x"], r"rtsp://cam\.\.lan/x has a host that cannot exist"),
        (["rtsp://" + "a" * 64 + "/x"], r"has a host that cannot exist"),
        (["rtsp://a*b/x"], r"rtsp://\*\*\* has a host that cannot exist"),
        (["rtsp://[::g]/x"], r"rtsp://\*\*\* (has a host that cannot exist|contains no host name)"),
        (["rtsp://u:pw@[::1/x"], r"rtsp://\*\*\* contains no host name"),
        (["rtsp://u:p w@host/x"], "white space"),
        ([" "], "a source is empty"),
        (["a=0", "a=1"], "two sources are named 'a'"),
        (["front door=0"], "'front door' cannot name a source"),
    ],
)
def test_what_is_no_source_gets_one_clear_sentence(specs: list[str], sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as caught:
        open_sources(specs)
    assert "pw" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_footage_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(SourceError, match="holds no images and no videos: give a folder that holds videos, or images"):
        open_sources([str(tmp_path)])


def test_a_single_image_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="single image"):
        open_sources([str(write_image(tmp_path / "1.jpg"))])


@pytest.mark.parametrize("given", ["file://{}", "gate=file://{}", "FILE://localhost{}"])
def test_an_address_of_a_file_is_its_path(given: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a walk.avi", frames=1)
    (source,) = open_sources([given.format(str(video).replace(" ", "%20"))])
    assert isinstance(source, VideoSource)
    assert source.path == video


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://cam/x",
        "rtsp://cam:/x",
        "rtsp://cam_1.lan.:554/x",
        "rtsp://[fe80::1%25eth0]:554/x",
        "rtsp://[::1]/x",
        "http://127.1:80/x",
        "rtsp://u:p:w@10.0.0.1:65535/x",
        "rtsp://u:p/w@10.0.0.1/x",
        "rtsp://höf.example/x",
        "rtsp://u:p#@10.0.0.1:1/x",
        "rtsp://u:pw@cam.lan/a:b@c",
        "rtsps://cam?x=1:2",
        "http://cam/x?at=1:99999",
    ],
)
def test_hosts_and_ports_that_may_exist_are_taken(address: str) -> None:
    (source,) = open_sources([address])
    assert isinstance(source, CameraSource)
