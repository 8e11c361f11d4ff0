"""Files and folders in the capture loop: their speed, gaps, loops, ends, and frames that cannot be read."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.errors import CaptureError, SourceError
from monitor.live.capture import Capture, CaptureSettings
from monitor.sources.folder import FolderSource
from monitor.states import CameraState
from monitor.testing.scripted import FAST, RecordingSink, Run, Shot, Step, recorded, segments, shots, times
from monitor.types import Frame
from tests.helpers.made_footage import write_image


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_file_is_paced_by_its_media_time(speed: float) -> None:
    run = Run(recorded(shots(2.0, fps=10.0), fps=10.0), CaptureSettings(speed=speed))
    started = run.clock.now
    sink = run.run()
    shown = [frame.captured_at - started for frame in sink.frames]
    assert shown == pytest.approx([time_s / speed for time_s in times(sink)])


def test_pacing_makes_up_for_time_spent_on_frames() -> None:
    run = Run(recorded(shots(2.0, fps=10.0), fps=10.0), CaptureSettings(speed=1.0))
    run.sink.on_put = lambda _: setattr(run.clock, "now", run.clock.now + 0.07)
    started = run.clock.now
    run.run()
    assert run.clock.now - started == pytest.approx(1.9 + 0.07)
    assert run.status.behind_s == 0


def test_how_far_a_file_is_behind_its_pace_is_known_until_it_has_caught_up() -> None:
    run = Run(recorded(shots(2.0, fps=10.0), fps=10.0), CaptureSettings(speed=1.0))
    behind: list[float] = []

    def slow_at_first(frame: Frame) -> None:
        behind.append(run.status.behind_s)
        run.clock.now += 0.3 if frame.index < 5 else 0.0

    run.sink.on_put = slow_at_first
    run.run()
    assert behind[:6] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert behind[15:] == pytest.approx([0.0] * 5, abs=1e-6)


def test_as_fast_as_possible_waits_for_nothing_and_gives_the_same_frames() -> None:
    settings = CaptureSettings(analysis_fps=4.0)
    script = [*shots(3.0), *shots(1.0, start_s=20.0), Shot(21.0, size=(16, 12)), Shot(21.5, size=(16, 12))]
    paced, fast = Run(recorded(script), settings), Run(recorded(script), replace(settings, speed=None))
    paced.run()
    fast.run()
    assert fast.stop.waits == []
    assert paced.stop.waits != []
    key = [(frame.index, frame.time_s, frame.segment) for frame in fast.sink.frames]
    assert key == [(frame.index, frame.time_s, frame.segment) for frame in paced.sink.frames]


def test_a_gap_starts_a_segment_and_is_not_sat_through() -> None:
    script = [*shots(0.2), *shots(0.2, start_s=3600.0)]
    run = Run(recorded(script), CaptureSettings(speed=1.0))
    sink = run.run()
    assert segments(sink) == [0] * 5 + [1] * 5
    assert sum(run.stop.waits) < 0.5


def test_a_short_gap_in_a_folder_is_counted_and_starts_no_segment() -> None:
    script: list[Step] = [Shot(index / 25, index=index) for index in (0, 1, 2, 6, 7)]
    run = Run(recorded(script))
    assert segments(run.run()) == [0] * 5
    assert run.status.missing == 3
    assert [frame.index for frame in run.sink.frames] == [0, 1, 2, 6, 7]


def test_slow_sources_have_no_gap_at_every_frame() -> None:
    assert segments(Run(recorded(shots(40.0, fps=0.5), fps=0.5)).run()) == [0] * 20


def test_a_camera_that_falls_to_a_frame_every_two_seconds_is_a_slow_one_and_not_all_gaps() -> None:
    script: list[Step] = [*shots(1.0), *[Shot(3.0 + 2.0 * number) for number in range(10)]]
    script += [Shot(22.0), Shot(22.04), Shot(25.0)]
    assert segments(Run(recorded(script)).run()) == [0] * 25 + [1, 2] + [2] * 8 + [2] * 2 + [3]


def test_a_looped_file_goes_on_in_time_and_starts_a_segment() -> None:
    source = recorded(shots(0.2))
    sink = Run(source, replace(FAST, loop=True, max_frames=12)).run()
    assert times(sink) == [round(number / 25, 6) for number in range(12)]
    assert segments(sink) == [0] * 5 + [1] * 5 + [2] * 2
    assert [frame.index for frame in sink.frames] == list(range(12))
    assert [frame.media_s for frame in sink.frames] == [number % 5 / 25 for number in range(12)]
    assert all(reader.closed for reader in source.readers)


def test_looping_over_nothing_ends() -> None:
    assert Run(recorded([]), replace(FAST, loop=True)).run().finished == ["scripted"]


def test_a_file_ends_and_says_so() -> None:
    run = Run(recorded(shots(1.0)))
    sink = run.run()
    assert sink.finished == ["scripted"]
    assert run.status.state is CameraState.ENDED
    assert (run.status.frames_in, run.status.size) == (25, (8, 6))


def test_max_frames_counts_queued_frames() -> None:
    sink = Run(recorded(shots(10.0)), replace(FAST, max_frames=7, analysis_fps=5.0)).run()
    assert times(sink) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]
    assert sink.finished == ["scripted"]


def test_a_change_of_frame_size_starts_a_segment() -> None:
    script = [Shot(0.0), Shot(0.04), Shot(0.08, size=(16, 12)), Shot(0.12, size=(16, 12)), Shot(0.16)]
    run = Run(recorded(list(script)))
    assert segments(run.run()) == [0, 0, 1, 1, 2]
    assert run.status.size == (8, 6)


def test_unreadable_frames_are_counted_and_each_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    script: list[Step] = [Shot(0.0), Shot(0.04, readable=False, name="frame_2.jpg"), Shot(0.08)]
    run = Run(recorded(script), replace(FAST, loop=True, max_frames=6))
    with caplog.at_level(logging.WARNING, "monitor.live.capture"):
        run.run()
    assert run.status.unreadable == 3
    assert [record.getMessage() for record in caplog.records] == [
        "scripted: frame_2.jpg of a script cannot be read and is left out"
    ]


def test_after_an_unreadable_frame_the_next_is_due() -> None:
    script: list[Step] = [Shot(number / 25, readable=number != 5) for number in range(20)]
    assert times(Run(recorded(script), replace(FAST, analysis_fps=5.0)).run()) == [0.0, 0.24, 0.4, 0.6]


def test_seconds_of_unreadable_frames_are_a_gap() -> None:
    script: list[Step] = [Shot(number / 25, readable=not 10 <= number < 50) for number in range(75)]
    assert segments(Run(recorded(script)).run()) == [0] * 10 + [1] * 25


@pytest.mark.parametrize("error", [SourceError("gone"), CaptureError("the decoder died (SIGABRT)")])
def test_a_files_error_ends_that_file_alone_and_is_not_retried(error: Exception) -> None:
    source = recorded([*shots(1.0), error])
    run = Run(source, replace(FAST, loop=True))
    assert len(run.run().frames) == 25
    assert run.sink.finished == ["scripted"]
    assert (run.status.state, run.status.detail) == (CameraState.FAILED, str(error))
    assert (source.opened, source.readers[0].closed) == (1, True)


def test_a_real_folder_with_gaps_and_a_broken_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2, 4, 5):
        write_image(tmp_path / "01" / f"frame_{number:05d}.jpg")
    (tmp_path / "01" / "frame_00004.jpg").write_bytes(b"broken")
    sink = RecordingSink()
    capture = Capture(FolderSource(tmp_path / "01"), sink, FAST, threading.Event())
    with caplog.at_level(logging.WARNING, "monitor.live.capture"):
        capture.run()
    assert [(frame.index, frame.time_s) for frame in sink.frames] == [(0, 0.0), (1, 0.04), (4, 0.16)]
    assert (capture.status.missing, capture.status.unreadable) == (1, 1)
    assert caplog.text.count("frame_00004.jpg") == 1


def test_a_file_with_a_decoder_that_does_not_answer_is_shown_as_stalled() -> None:
    """A stopped decoder, or a disk that hangs. Waiting for the pace or for room in the queue is no stall."""
    seen: list[CameraState] = []

    def hang() -> None:
        for seconds in (3.9, 0.2):
            run.clock.now += seconds
            seen.append(run.status.state)

    run = Run(recorded([*shots(1.0), hang, *shots(1.0, start_s=1.0), Shot(60.0)]), CaptureSettings(speed=1.0))
    run.sink.on_put = lambda frame: seen.append(run.status.state) if frame.index in (24, 25, 49) else None
    run.run()
    online, stalled = CameraState.ONLINE, CameraState.STALLED
    assert seen == [online, online, stalled, online, online]
    assert run.status.state is CameraState.ENDED


def test_frames_that_cannot_be_decoded_for_seconds_are_said() -> None:
    seen: list[CameraState] = []
    script: list[Step] = []
    for number in range(100):
        script += [lambda: seen.append(run.status.state), Shot(number / 10, readable=number < 20 or number >= 80)]
    run: Run = Run(recorded(script))
    run.run()
    online, unscored = CameraState.ONLINE, CameraState.UNSCORED
    assert [seen[number] for number in (10, 50, 70, 72, 80, 82)] == [online, online, online, unscored, unscored, online]
