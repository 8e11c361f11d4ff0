"""Streams that are decoded in part: what is left out, that the rest is the same, and how a reader tells it."""

from __future__ import annotations

import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from monitor.sources.opencv import open_capture
from monitor.sources.source import Position
from monitor.sources.sparing import SILENT_S, Lateness, Sparing, SparingCapture
from monitor.types import Image

FPS, GROUP, FRAMES = 25, 25, 200


def picture(number: int) -> Image:
    noise = np.random.default_rng(3).integers(0, 60, (96, 160, 3))
    image = np.asarray(noise + 60, np.uint8)
    image[20:60, number % 120 : number % 120 + 30] = (40, 200, 120)
    return image


def write(path: Path, codec: str = "libx264", group: int = GROUP, frames: int = FRAMES) -> Path:
    options = {"bf": "0", "g": str(group), "keyint_min": str(group), "sc_threshold": "0"}
    options = {} if codec == "mjpeg" else options | ({"x265-params": "log-level=0"} if codec == "libx265" else {})
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, FPS, options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 160, 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "bgr24")))
        container.mux(stream.encode(None))
    return path


def opened(path: Path) -> cv2.VideoCapture:
    """As a camera's stream is opened: further threads would delay every frame."""
    return open_capture(str(path), parameters=[cv2.CAP_PROP_N_THREADS, 1])


def steps(path: Path, share: float) -> tuple[list[bool], list[float], SparingCapture]:
    """Per frame whether it was decoded, and its time, ms. Decoded pictures are those of OpenCV."""
    whole, part = opened(path), SparingCapture(opened(path), FPS)
    part.spare(share)
    decoded, times = [], []
    while whole.grab():
        assert part.grab()
        decoded.append(not part.spared)
        times.append(part.get(cv2.CAP_PROP_POS_MSEC))
        if decoded[-1]:
            assert times[-1] == pytest.approx(whole.get(cv2.CAP_PROP_POS_MSEC))
            right, found = part.retrieve()
            assert right
            assert found is not None
            np.testing.assert_array_equal(found, whole.retrieve()[1])
        else:
            assert part.retrieve() == (False, None)
    assert not part.grab()
    return decoded, times, part


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.01])
def test_the_last_frames_before_each_key_frame_are_left_out_and_the_others_are_the_same(
    tmp_path: Path, share: float
) -> None:
    decoded, times, part = steps(write(tmp_path / "a.mp4"), share)
    part.release()
    assert all(decoded[:GROUP])
    kept = max(1, math.ceil(share * GROUP))
    for begin in range(2 * GROUP, FRAMES, GROUP):
        assert decoded[begin : begin + GROUP] == [True] * kept + [False] * (GROUP - kept)
    assert np.diff(times) == pytest.approx(np.full(FRAMES - 1, 1000 / FPS))


def test_a_stream_that_is_decoded_whole_stays_with_opencv(tmp_path: Path) -> None:
    decoded, _, part = steps(write(tmp_path / "a.mp4"), 1.0)
    assert all(decoded)
    assert part._decoder is None


def test_all_frames_are_decoded_again_when_asked_for(tmp_path: Path) -> None:
    part = SparingCapture(opened(write(tmp_path / "a.mp4")), FPS)
    part.spare(0.3)
    decoded = []
    for number in range(FRAMES):
        if number == 4 * GROUP:
            part.spare(1.0)
        assert part.grab()
        decoded.append(not part.spared)
    assert not all(decoded[3 * GROUP : 4 * GROUP])
    assert all(decoded[4 * GROUP :])


def test_what_cannot_be_decoded_in_part_is_decoded_whole(tmp_path: Path) -> None:
    assert all(steps(write(tmp_path / "a.avi", "mjpeg"), 0.2)[0])
    assert all(steps(write(tmp_path / "rare.mp4", group=500), 0.2)[0]), "no second key frame"


def test_no_more_than_some_seconds_are_left_out(tmp_path: Path) -> None:
    group = 100  # 4 s
    decoded, _, _ = steps(write(tmp_path / "a.mp4", group=group, frames=300), 0.01)
    assert sum(decoded[2 * group :]) == pytest.approx(1.5 * FPS, abs=1)


def test_after_a_jump_nothing_is_decoded_before_a_key_frame(tmp_path: Path) -> None:
    part = SparingCapture(opened(write(tmp_path / "a.mp4")), FPS)
    part.spare(0.5)
    for _ in range(3 * GROUP):
        part.grab()
    assert part.set(cv2.CAP_PROP_POS_FRAMES, 0)
    assert part.grab()
    assert not part.spared
    found, image = part.retrieve()
    assert found
    assert image is not None
    first = opened(tmp_path / "a.mp4")
    assert first.grab()
    np.testing.assert_array_equal(image, first.retrieve()[1])


def test_frames_that_are_left_out_are_counted_and_make_no_gap() -> None:
    sparing = Sparing(FPS)
    given = [
        found
        for number in range(50)
        if (found := sparing.take(Position(number, number / FPS), spared=number % 25 >= 15)) is not None
    ]
    assert [found.index for found in given] == [*range(15), *range(25, 40)]
    after = given[15]
    assert (after.passed, after.spared) == (10, False)
    assert after.earlier_s == pytest.approx([22 / FPS, 23 / FPS, 24 / FPS])


def test_a_frame_after_a_gap_is_never_left_out() -> None:
    sparing = Sparing(FPS)
    times = [*(number / FPS for number in range(10)), 0.4 + 0.9]
    given = [sparing.take(Position(number, time_s), spared=number > 0) for number, time_s in enumerate(times)]
    assert [found is not None for found in given] == [True, *[False] * 9, True]
    assert given[-1] is not None
    assert (given[-1].passed, given[-1].spared) == (9, True)


def test_a_reader_is_never_silent_for_long() -> None:
    sparing = Sparing(FPS)
    assert sparing.take(Position(0, 5.0), spared=False) == Position(0, 5.0)
    given = [
        found
        for number in range(1, 100)
        if (found := sparing.take(Position(number, 5.0 + number / FPS), spared=True)) is not None
    ]
    assert [found.index for found in given] == [25, 50, 75]
    assert all(found.spared and found.passed == 24 for found in given)
    assert given[1].time_s - given[0].time_s == pytest.approx(SILENT_S)


def test_a_reader_that_is_late_goes_on_with_the_next_key_frame(tmp_path: Path) -> None:
    part = SparingCapture(opened(write(tmp_path / "a.mp4")), FPS)
    part.catch_up()
    decoded = []
    for number in range(FRAMES):
        if number == 2 * GROUP - 5:
            part.spare(0.9)
        assert part.grab()
        decoded.append(not part.spared)
        if 3 * GROUP <= number < 5 * GROUP:
            part.catch_up()
    assert all(decoded[: 2 * GROUP + 20]), "a stream that is decoded whole stays whole"
    assert decoded[3 * GROUP : 5 * GROUP] == ([True] + [False] * (GROUP - 1)) * 2
    assert all(decoded[5 * GROUP : 5 * GROUP + 20])


def late(times: list[tuple[float, float]], wait_s: float = 0.0) -> list[bool]:
    lateness = Lateness()
    return [lateness.take(now_s, time_s, wait_s) for now_s, time_s in times]


def test_frames_in_time_and_in_bursts_are_not_late_and_those_of_a_slow_reader_are() -> None:
    steady = [(number / FPS, number / FPS) for number in range(2000)]
    assert not any(late(steady))
    slow_clock = [(now_s, 0.9995 * now_s) for now_s, _ in steady]
    assert not any(late(slow_clock))
    bursts = [(12.0 * (number // 300 + 1) + number % 300 / 200, number / FPS) for number in range(3000)]
    assert not any(late(bursts, wait_s=10.5))
    behind = [(now_s, now_s if now_s < 10 else 10 + 0.5 * (now_s - 10)) for now_s, _ in steady]
    found = late(behind)
    assert not any(found[: 12 * FPS])
    assert all(found[16 * FPS :])
    caught_up = [*behind[: 20 * FPS], *((20 + now_s, 20 + now_s) for now_s, _ in steady[:500])]
    assert not any(late(caught_up)[23 * FPS :])
