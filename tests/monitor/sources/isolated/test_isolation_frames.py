"""Which sources are decoded in a separate process, and that their frames are the same."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.live.capture import Capture
from monitor.sources.camera import CameraSource
from monitor.sources.folder import FolderSource
from monitor.sources.isolated.isolated_source import IsolatedSource, Isolation, isolate
from monitor.sources.source import Source
from monitor.sources.video import VideoSource
from monitor.testing.captured import QUICK, captured
from monitor.testing.scripted import FAST, RecordingSink
from tests.helpers.decoders import Break, NoiseSource, Plan, noise
from tests.helpers.isolated import isolated
from tests.helpers.made_footage import write_video

# The same frames


def test_a_video_gives_the_same_frames_at_the_same_times(tmp_path: Path) -> None:
    video = VideoSource(write_video(tmp_path / "a.avi"))
    source = isolate(video, "process")
    source.check()
    with video.open() as direct, source.open() as reader:
        assert (reader.fps, source.name, source.label, source.live) == (direct.fps, "a", str(video.path), False)
        while (expected := direct.grab()) is not None:
            assert reader.grab() == expected
            np.testing.assert_array_equal(reader.retrieve(), direct.retrieve())
        assert reader.grab() is None


def test_several_frames_at_once_are_the_same_frames_though_their_places_are_held_for_long() -> None:
    with isolated(Plan(frames=60)).open() as reader:
        held = {}
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            if position.index % 3 == 0 or 20 <= position.index < 40:
                held[position.index] = image
        assert position is None
        assert reader.grab() is None
    assert len(held) == 33
    for index, image in held.items():
        np.testing.assert_array_equal(image, noise(index, 32, 24))


def test_a_reader_that_no_longer_wants_each_frame_passes_over_and_loses_none() -> None:
    with isolated(Plan(frames=50, fps=10.0)).open() as reader:
        seen = -1
        for due_s in [-math.inf] * 10 + [1.5, 1.6, 2.4, 2.4, 3.2, 3.2, 4.0]:
            position = reader.skip_to(due_s)
            assert position is not None
            assert position.index == seen + position.passed + 1
            np.testing.assert_array_equal(reader.retrieve(), noise(position.index, 32, 24))
            seen = position.index
    assert seen > 10


def test_pictures_that_are_not_wanted_are_stepped_over() -> None:
    with isolated(Plan()).open() as reader:
        for _ in range(8):
            position = reader.grab()
        assert position is not None
        assert position.index == 7
        np.testing.assert_array_equal(reader.retrieve(), noise(7, 32, 24))


def test_frames_before_a_time_are_passed_over_and_counted_and_the_last_is_given_out_in_any_case() -> None:
    with isolated(Plan(frames=12, fps=10.0)).open() as reader:
        found: list[tuple[int, int]] = []
        while (position := reader.skip_to(0.4 * len(found))) is not None:
            np.testing.assert_array_equal(reader.retrieve(), noise(position.index, 32, 24))
            found.append((position.index, position.passed))
    assert found == [(0, 0), (4, 3), (8, 3), (11, 2)]


def test_the_frames_analysed_and_the_counts_are_those_of_a_reader_that_passes_nothing_over() -> None:
    sampled = replace(FAST, analysis_fps=7.0, loop=True, max_frames=40)
    frames, statuses = [], []
    for source in (NoiseSource(Plan(frames=50, fps=25.0)), isolated(Plan(frames=50, fps=25.0))):
        sink = RecordingSink()
        capture = Capture(source, sink, sampled, threading.Event())
        capture.run()
        frames.append([(frame.index, frame.time_s, frame.segment) for frame in sink.frames])
        statuses.append((capture.status.frames_in, capture.status.missing))
    assert frames[0] == frames[1]
    assert statuses[0] == statuses[1]


def test_a_live_camera_is_sampled_by_its_decoder() -> None:
    with captured(isolated(Plan(fps=100.0), live=True), replace(QUICK, analysis_fps=10.0)) as (capture, sink):
        assert sink.more(8)
        indices, frames_in = [frame.index for frame in sink.frames], capture.status.frames_in
    # Over all of them: where the machine stalled for 100 ms, the next frame is due at once.
    assert indices[-1] - indices[0] >= 2 * len(indices), "not every frame is passed on"
    assert frames_in >= indices[-1]


def test_pictures_of_changing_size_are_kept_when_the_next_one_comes() -> None:
    sizes = ((32, 24), (640, 480), (16, 8), (1920, 1080), (641, 479))
    with isolated(Plan(sizes)).open() as reader:
        images = [reader.retrieve() for _ in range(40) if reader.grab()]
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, noise(index, *sizes[index % 5]))


def test_one_unreadable_frame_is_none_and_the_end_is_none() -> None:
    with isolated(Plan(frames=3, at=1, what=Break.UNREADABLE)).open() as reader:
        read = [reader.retrieve() is not None for _ in range(3) if reader.grab()]
        assert read == [True, False, True]
        assert reader.grab() is None


# Which sources are isolated


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("auto", [True, False, True]), ("process", [True, True, True]), ("thread", [False, False, False])],
)
def test_the_setting_chooses_what_is_isolated(mode: Isolation, expected: list[bool], tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    sources: list[Source] = [CameraSource("net", "rtsp://10.0.0.9/x"), CameraSource("usb", 0), VideoSource(video)]
    assert [isinstance(isolate(source, mode), IsolatedSource) for source in sources] == expected


def test_a_folder_of_images_has_a_decoder_of_its_own_unless_threads_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"")
    folder = FolderSource(tmp_path)
    assert isinstance(isolate(folder, "process"), IsolatedSource)
    assert isinstance(isolate(folder, "auto"), IsolatedSource)
    assert isolate(folder, "thread") is folder
