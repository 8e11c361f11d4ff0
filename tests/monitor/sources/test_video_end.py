"""Videos that end before their container says: sound ones are read to their end, files that are cut off are named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from monitor.errors import CaptureError
from monitor.sources.video import VideoSource
from monitor.sources.video_end import lost_in_holes, read_packets
from tests.places import SHARED_DATA

FPS = 10


def video(path: Path, seconds: float, sound_s: float = 0.0, *, late_s: float = 0.0, options: str = "") -> Path:
    """A video with sound of another length; the pictures begin ``late_s`` after the sound."""
    webm = path.suffix == ".webm"
    with av.open(str(path), "w", options={"movflags": options} if options else {}) as out:
        pictures = out.add_stream("libvpx" if webm else "libx264", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.time_base = Fraction(1, 1000)
        sound = out.add_stream("libopus" if webm else "aac", rate=48_000) if sound_s else None
        for number in range(round(seconds * FPS)):
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="bgr24")
            frame.pts, frame.time_base = round(1000 * (late_s + number / FPS)), Fraction(1, 1000)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
        if sound is not None:
            for number in range(round(sound_s * 48_000 / 960)):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts, silence.time_base = 48_000, number * 960, Fraction(1, 48_000)
                out.mux(sound.encode(silence))
            out.mux(sound.encode(None))
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    """The beginning of a file."""
    content = path.read_bytes()
    part = path.with_stem(f"{path.stem}-cut")
    part.write_bytes(content[: round(len(content) * share)])
    return part


def frames(path: Path) -> int:
    with VideoSource(path).open() as reader:
        count = 0
        while reader.grab() is not None:
            count += 1
    return count


@pytest.mark.parametrize("name", ["long.mkv", "long.webm", "long.mp4", "long.mov"])
def test_sound_that_is_longer_than_the_pictures_is_no_damage(name: str, tmp_path: Path) -> None:
    assert frames(video(tmp_path / name, 4.0, 12.0)) == 40


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4"])
def test_pictures_that_begin_late_are_no_damage(name: str, tmp_path: Path) -> None:
    assert frames(video(tmp_path / name, 4.0, 12.0, late_s=6.0)) == 40


def test_a_fragmented_file_is_no_damage(tmp_path: Path) -> None:
    assert frames(video(tmp_path / "parts.mp4", 4.0, 12.0, options="frag_keyframe+empty_moov")) == 40


@pytest.mark.parametrize(
    ("name", "sound_s", "options"),
    [
        ("cut.mkv", 0.0, ""),
        ("cut.mkv", 12.0, ""),
        ("cut.mp4", 0.0, "faststart"),
        ("cut.mp4", 12.0, "faststart"),
        ("cut.avi", 0.0, ""),
    ],
)
def test_a_file_that_is_cut_off_is_named(name: str, sound_s: float, options: str, tmp_path: Path) -> None:
    part = cut(video(tmp_path / name, 12.0, sound_s, options=options))
    with pytest.raises(CaptureError, match=r"ends after [0-9.]+ of [0-9.]+ s: it is damaged or cut off"):
        frames(part)


def test_packets_of_what_is_no_video_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    assert read_packets(tmp_path / "text.mp4") is None
    assert read_packets(tmp_path / "missing.mp4") is None


def test_a_file_that_cannot_be_opened_a_second_time_counts_as_cut_off(tmp_path: Path) -> None:
    path = video(tmp_path / "gone.mkv", 4.0, 12.0)
    with VideoSource(path).open() as reader:
        path.unlink()
        for _ in range(40):
            assert reader.grab() is not None
        with pytest.raises(CaptureError, match="damaged or cut off"):
            reader.grab()


@pytest.mark.parametrize(("name", "count"), [("trim.mp4", 40), ("audiolong.mkv", 120)])
def test_real_files_that_were_called_damaged_are_read_to_their_end(name: str, count: int) -> None:
    path = SHARED_DATA / "field" / name
    if not path.exists():
        pytest.skip(f"needs the footage in {SHARED_DATA}")
    assert frames(path) == count
    packets = read_packets(path)
    assert packets is not None
    assert packets.complete


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_a_segment_whose_time_stamps_begin_late_is_no_damage_and_a_part_of_it_is(suffix: str, tmp_path: Path) -> None:
    late = video(tmp_path / f"late{suffix}", 4.0, late_s=20.0, options="faststart")
    assert frames(late) == 40
    with pytest.raises(CaptureError, match="damaged or cut off"):
        frames(cut(late))


@pytest.mark.parametrize("share", [0.9, 0.97, 0.99])
def test_not_a_single_frame_of_an_index_may_be_missing(share: float, tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mp4", 12.0, options="faststart")
    assert frames(whole) == 120
    with pytest.raises(CaptureError, match=r"ends after 1[01]\.\d of 12\.0 s: it is damaged or cut off"):
        frames(cut(whole, share))


def test_a_file_with_a_hole_tells_how_many_frames_are_lost(tmp_path: Path) -> None:
    path = video(tmp_path / "whole.mp4", 12.0, options="faststart")
    content = bytearray(path.read_bytes())
    start, end = len(content) // 2, len(content) * 3 // 4
    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"\d\d of the 120 frames of .* cannot be decoded: it is damaged"):
        frames(path)


def stepped(path: Path, times: list[float], *, rate: int = 0) -> Path:
    """A video with frames at these times, seconds; a transport stream is filled up to ``rate`` bits per second."""
    options = {"muxrate": str(rate)} if rate else {}
    with av.open(str(path), "w", options=options) as out:
        codec = {".flv": "flv1", ".wmv": "wmv2", ".mpg": "mpeg2video"}.get(path.suffix, "libx264")
        pictures = out.add_stream(codec, rate=25)
        assert isinstance(pictures, VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = 128, 96, "yuv420p"
        fastest: dict[str, object] = {"preset": "ultrafast"} if codec == "libx264" else {}
        pictures.options = {"g": "10", "bf": "0", **fastest}
        for number, time_s in enumerate(times):
            noise = np.random.default_rng(number).integers(0, 255, (96, 128, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="bgr24")
            frame.pts, frame.time_base = round(25 * time_s), Fraction(1, 25)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
    return path


EVEN = [number / 25 for number in range(200)]


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.flv", "a.mpg"])
def test_a_middle_that_cannot_be_read_is_told_with_its_length(name: str, noise: bool, tmp_path: Path) -> None:
    path = stepped(tmp_path / name, EVEN)
    content = path.read_bytes()
    begin, end = round(0.2 * len(content)), round(0.83 * len(content))
    lost = np.random.default_rng(1).bytes(end - begin) if noise else bytes(end - begin)
    path.write_bytes(content[:begin] + lost + content[end:])
    with pytest.raises(
        CaptureError, match=r"^[45]\.\d of the [78]\.\d s of .* are lost, because parts of the file cannot"
    ):
        frames(path)


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.flv", "a.wmv", "a.mp4"])
def test_pauses_and_uneven_frames_are_no_damage(name: str, tmp_path: Path) -> None:
    day = [time_s + (0 if time_s < 4 else 86_400 if name == "a.mkv" else 60) for time_s in EVEN]
    assert frames(stepped(tmp_path / name, day)) == len(day)
    uneven = [float(at) / 25 for at in np.cumsum(np.random.default_rng(1).integers(1, 75, 100))]
    assert frames(stepped(tmp_path / f"uneven{name}", uneven)) == len(uneven)


def test_a_pause_of_a_filled_transport_stream_is_no_damage(tmp_path: Path) -> None:
    paused = [time_s + (0 if time_s < 4 else 10) for time_s in EVEN]
    path = stepped(tmp_path / "a.ts", paused, rate=8_000_000)
    assert path.stat().st_size > 10_000_000
    assert lost_in_holes(path) == 0.0
    assert frames(path) == len(paused)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) * 2 // 3] = bytes(len(content) * 2 // 3 - len(content) // 3)
    path.write_bytes(content)
    assert lost_in_holes(path) > 0.0
