from __future__ import annotations

import itertools
import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.capture import Capture, CaptureSettings
from monitor.errors import CaptureError, SourceError, StallError
from monitor.frame_queue import FrameQueue
from monitor.sources.folder import FolderSource
from monitor.sources.video import VideoSource
from monitor.timing import Backoff, Sampler
from monitor.types import CameraState, CaptureStatus, Frame
from tests.footage import write_image, write_video
from tests.scripted import Clock, ClockedStop, RecordingSink, ScriptedSource, Shot, Step

DEADLINE_S = 10.0
FAST = CaptureSettings(speed=None)


def shots(seconds: float, fps: float = 25.0, start_s: float = 0.0) -> list[Step]:
    return [Shot(start_s + number / fps) for number in range(round(seconds * fps))]


class Run:
    """One capture run to its end over a script, on a clock that only the script and the waits move."""

    def __init__(
        self, source: ScriptedSource, settings: CaptureSettings = FAST, sink: RecordingSink | None = None
    ) -> None:
        self.clock = source.clock or Clock()
        self.stop = ClockedStop(self.clock)
        self.sink = sink or RecordingSink()
        self.states: list[CaptureStatus] = []
        self.capture = Capture(source, self.sink, settings, self.stop, self.clock, random.Random(1))

    def run(self) -> RecordingSink:
        self.capture.run()
        return self.sink

    @property
    def status(self) -> CaptureStatus:
        return self.capture.status


def live(*scripts: Sequence[Step] | Exception, fps: float = 25.0) -> ScriptedSource:
    return ScriptedSource(scripts, live=True, fps=fps, clock=Clock())


def recorded(*scripts: Sequence[Step], fps: float = 25.0) -> ScriptedSource:
    return ScriptedSource(scripts, live=False, fps=fps)


def times(sink: RecordingSink) -> list[float]:
    return [round(frame.time_s, 6) for frame in sink.frames]


def segments(sink: RecordingSink) -> list[int]:
    return [frame.segment for frame in sink.frames]


# Sampling


def sampled(frame_times: list[float], fps: float) -> list[float]:
    sampler, chosen = Sampler(fps), []
    for time_s in frame_times:
        if sampler.due(time_s):
            sampler.take(time_s)
            chosen.append(time_s)
    return chosen


@pytest.mark.parametrize(
    ("source_fps", "analysis_fps", "steps"),
    [
        (25, 10, [3, 2, 3, 2]),
        (25, 5, [5]),
        (25, 25, [1]),
        (25, 0, [1]),
        (25, 60, [1]),
        (30, 10, [3]),
        (29.97, 10, [3]),
        (10, 4, [3, 2, 3, 2]),
    ],
)
@pytest.mark.parametrize("rounded_to", [None, 3])
def test_sampling_gives_a_steady_pattern(
    source_fps: float, analysis_fps: float, steps: list[int], rounded_to: int | None
) -> None:
    frame_times = [number / source_fps for number in range(400)]
    if rounded_to is not None:  # containers that know milliseconds only
        frame_times = [round(time_s, rounded_to) for time_s in frame_times]
    chosen = [frame_times.index(time_s) for time_s in sampled(frame_times, analysis_fps)]
    expected = itertools.accumulate(itertools.cycle(steps), initial=0)
    assert chosen[:80] == list(itertools.islice(expected, len(chosen[:80])))


@given(
    st.lists(st.floats(1e-3, 2.0), min_size=1, max_size=200),
    st.floats(0.1, 100.0),
)
def test_sampling_never_passes_its_rate_by_more_than_two_frames(steps: list[float], fps: float) -> None:
    frame_times = list(itertools.accumulate(steps, initial=0.0))
    chosen = sampled(frame_times, fps)
    assert chosen[0] == 0.0
    for first, later in itertools.combinations(range(len(chosen)), 2):
        assert later - first <= (chosen[later] - chosen[first]) * fps + 2.06


@given(st.floats(1.0, 60.0), st.floats(0.02, 1.0))
def test_sampling_a_regular_source_keeps_its_rate(source_fps: float, part: float) -> None:
    frame_times = [number / source_fps for number in range(300)]
    assert len(sampled(frame_times, part * source_fps)) == pytest.approx(300 * part, abs=2)


@given(st.lists(st.floats(-0.019, 0.019), min_size=100, max_size=100))
def test_jitter_of_a_live_camera_costs_one_frame_at_most(jitter: list[float]) -> None:
    frame_times = [number / 25.0 + late for number, late in enumerate(jitter)]
    assert len(sampled(frame_times, 25.0)) >= 99


def test_frames_that_are_not_due_are_never_decoded() -> None:
    source = recorded(shots(2.0))
    sink = Run(source, replace(FAST, analysis_fps=10.0)).run()
    assert len(sink.frames) == 20
    assert times(sink)[:5] == [0.0, 0.12, 0.2, 0.32, 0.4]
    assert source.readers[0].retrieved == 20


# Files: pace, loop, gaps


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
    with caplog.at_level(logging.WARNING, "monitor.capture"):
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


def test_an_error_that_is_not_the_cameras_own_ends_the_run_and_is_raised() -> None:
    source = live([Shot(0.0), RuntimeError("a bug")])
    run = Run(source)
    with pytest.raises(RuntimeError, match="a bug"):
        run.run()
    assert run.sink.finished == ["scripted"]
    assert run.status.state is CameraState.OFFLINE
    assert source.readers[0].closed


@pytest.mark.parametrize("error", [SourceError("gone"), CaptureError("the decoder died (SIGABRT)")])
def test_a_files_error_ends_that_file_alone_and_is_not_retried(error: Exception) -> None:
    source = recorded([*shots(1.0), error])
    run = Run(source, replace(FAST, loop=True))
    assert len(run.run().frames) == 25
    assert run.sink.finished == ["scripted"]
    assert (run.status.state, run.status.detail) == (CameraState.FAILED, str(error))
    assert (source.opened, source.readers[0].closed) == (1, True)


# Live cameras: lost and found


def test_a_lost_camera_is_opened_again_and_counted() -> None:
    source = live([*shots(1.0), CaptureError("unplugged")], shots(2.0))
    sink = RecordingSink(room=50)
    run = Run(source, sink=sink)
    run.run()
    assert segments(sink) == [0] * 25 + [1] * 25
    assert [frame.index for frame in sink.frames] == list(range(50))
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(sink.frames))
    assert run.status.reconnects == 1
    assert run.status.stalls == 0
    assert source.readers[0].closed


def test_what_a_camera_goes_through_is_shown() -> None:
    seen: list[tuple[CameraState, str]] = []
    source = live(CaptureError("refused"), [*shots(1.0), StallError("silent")], [*shots(1.0), CaptureError("reset")])
    run = Run(source, sink=RecordingSink(room=40))

    class Watching(ClockedStop):
        def wait(self, timeout: float | None = None) -> bool:
            seen.append((run.status.state, run.status.detail))
            return super().wait(timeout)

    run.stop = Watching(run.clock)
    run.sink.on_put = lambda frame: None if frame.index % 25 else seen.append((run.status.state, run.status.detail))
    run.capture = Capture(source, run.sink, FAST, run.stop, run.clock, random.Random(1))
    assert run.status.state is CameraState.CONNECTING
    run.run()
    assert seen == [
        (CameraState.OFFLINE, "refused"),
        (CameraState.ONLINE, ""),
        (CameraState.STALLED, "silent"),
        (CameraState.ONLINE, ""),
    ]
    assert (run.status.reconnects, run.status.stalls) == (2, 1)


def test_a_camera_offline_at_the_start_is_tried_again_with_growing_delays() -> None:
    source = live(*[CaptureError("refused")] * 9, shots(1.0))
    run = Run(source, sink=RecordingSink(room=10))
    run.run()
    delays = run.stop.waits
    assert len(delays) == 9
    for attempt, delay_s in enumerate(delays):
        base_s = min(0.5 * 2**attempt, 30.0 / 1.3)
        assert base_s <= delay_s <= base_s * 1.3
    assert len(set(delays)) == 9
    assert len(run.sink.frames) == 10
    assert run.status.reconnects == 1


def test_only_a_connection_that_lasts_makes_the_delays_small_again() -> None:
    lost = CaptureError("lost")
    source = live(lost, lost, lost, [*shots(4.0), lost], [*shots(6.0), lost], shots(1.0))
    run = Run(source, replace(FAST, jitter=0.0), RecordingSink(room=260))
    run.run()
    assert run.stop.waits == [0.5, 1.0, 2.0, 4.0, 0.5]


@given(st.integers(1, 20), st.floats(0.01, 2.0), st.floats(0.0, 1.0), st.randoms())
def test_delays_stay_between_their_limits(attempts: int, min_s: float, jitter: float, rng: random.Random) -> None:
    backoff = Backoff(min_s, 30.0, jitter, rng)
    delays = [backoff.next() for _ in range(attempts)]
    assert all(min_s <= delay_s <= 30.0 * (1 + 1e-9) for delay_s in delays)
    assert delays[0] <= min_s * (1.0 + jitter)


def test_an_offline_camera_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    source = live(*[CaptureError("refused")] * 5, *[CaptureError("no route")] * 3, shots(1.0))
    with caplog.at_level(logging.WARNING, "monitor.capture"):
        Run(source, sink=RecordingSink(room=1)).run()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "scripted: refused",
        "scripted: no route",
    ]


def test_a_stream_that_ends_is_a_lost_camera() -> None:
    source = live(shots(1.0), shots(1.0))
    run = Run(source, sink=RecordingSink(room=30))
    run.run()
    assert source.opened == 2
    assert run.status.reconnects == 1


def test_a_live_cameras_time_is_the_clocks_and_a_long_silence_is_a_gap() -> None:
    script = [*shots(0.2), *shots(0.2, start_s=2.0)]
    run = Run(live(script), sink=RecordingSink(room=10))
    started = run.clock.now
    sink = run.run()
    assert segments(sink) == [0] * 5 + [1] * 5
    assert [frame.captured_at - started for frame in sink.frames] == pytest.approx(times(sink), abs=1e-5)


def test_frames_that_come_at_once_still_have_growing_times() -> None:
    sink = Run(live([Shot(0.0)] * 5), sink=RecordingSink(room=5)).run()
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(sink.frames))


def test_a_read_that_hangs_shows_as_stalled_while_it_hangs() -> None:
    source = live(shots(1.0))
    run = Run(source, sink=RecordingSink(room=10))
    seen: list[CameraState] = []

    def hang(frame: Frame) -> None:
        if frame.index == 5:
            for seconds in (3.9, 0.2):
                run.clock.now += seconds
                seen.append(run.status.state)

    run.sink.on_put = hang
    run.run()
    assert seen == [CameraState.ONLINE, CameraState.STALLED]


# Threads


class Started:
    """A capture loop in a thread of its own, on the real clock."""

    def __init__(self, capture: Capture) -> None:
        self.thread = threading.Thread(target=capture.run, daemon=True)
        self.thread.start()

    def ended(self, within_s: float = DEADLINE_S) -> bool:
        self.thread.join(within_s)
        return not self.thread.is_alive()


def test_stop_ends_a_long_backoff_at_once() -> None:
    stop = threading.Event()
    opened = threading.Event()

    class Refused(ScriptedSource):
        def open(self) -> object:  # type: ignore[override]
            opened.set()
            return super().open()

    source = Refused([CaptureError("refused")], live=True, clock=Clock())
    settings = CaptureSettings(backoff_min_s=600.0, backoff_max_s=600.0)
    started = Started(Capture(source, RecordingSink(), settings, stop))
    assert opened.wait(DEADLINE_S)
    stop.set()
    assert started.ended(within_s=2.0)


def test_stop_ends_the_wait_for_a_slow_file_at_once() -> None:
    stop = threading.Event()
    put = threading.Event()
    sink = RecordingSink(on_put=lambda _: put.set())
    started = Started(Capture(recorded(shots(10.0)), sink, CaptureSettings(speed=1e-4), stop))
    assert put.wait(DEADLINE_S)
    stop.set()
    assert started.ended(within_s=2.0)
    assert sink.finished == ["scripted"]


def test_a_file_waits_for_room_and_loses_nothing(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "a.avi", frames=60))
    queue = FrameQueue(capacity=2)
    queue.register("a", live=False)
    started = Started(Capture(source, queue, FAST, threading.Event()))
    taken: list[int] = []
    while (batch := queue.get_batch(1, timeout_s=DEADLINE_S)) is not None:
        taken += [frame.index for frame in batch]
    assert taken == list(range(60))
    assert started.ended()


def test_a_live_camera_never_waits_and_drops_its_oldest() -> None:
    queue = FrameQueue(capacity=2)
    queue.register("scripted", live=True)
    settings = replace(FAST, max_frames=25)
    started = Started(Capture(live(shots(1.0)), queue, settings, threading.Event()))
    assert started.ended()
    assert queue.counters("scripted").dropped_full == 23
    batch = [*(queue.get_batch(1) or []), *(queue.get_batch(1) or [])]
    assert [frame.index for frame in batch] == [23, 24]


def test_closing_the_queue_ends_the_capture(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "a.avi", frames=60))
    queue = FrameQueue(capacity=2)
    queue.register("a", live=False)
    capture = Capture(source, queue, replace(FAST, loop=True), threading.Event())
    started = Started(capture)
    assert queue.get_batch(1, timeout_s=DEADLINE_S)
    queue.close()
    assert started.ended()
    assert capture.status.state is CameraState.ENDED


def test_a_real_folder_with_gaps_and_a_broken_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2, 4, 5):
        write_image(tmp_path / "01" / f"frame_{number:05d}.jpg")
    (tmp_path / "01" / "frame_00004.jpg").write_bytes(b"broken")
    sink = RecordingSink()
    capture = Capture(FolderSource(tmp_path / "01"), sink, FAST, threading.Event())
    with caplog.at_level(logging.WARNING, "monitor.capture"):
        capture.run()
    assert [(frame.index, frame.time_s) for frame in sink.frames] == [(0, 0.0), (1, 0.04), (4, 0.16)]
    assert (capture.status.missing, capture.status.unreadable) == (1, 1)
    assert caplog.text.count("frame_00004.jpg") == 1
