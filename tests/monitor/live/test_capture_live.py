"""Live cameras in the capture loop: lost connections, stalls, and reconnects with backoff."""

from __future__ import annotations

import itertools
import logging
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import CaptureError, StallError
from monitor.live.capture import Capture
from monitor.live.pacing import Backoff
from monitor.sources.source import Position
from monitor.states import CameraState
from monitor.testing.scripted import (
    FAST,
    ClockedStop,
    RecordingSink,
    Run,
    ScriptedReader,
    Shot,
    live,
    segments,
    shots,
    times,
)
from monitor.types import Frame


def test_a_lost_camera_is_opened_again_and_counted() -> None:
    source = live([*shots(1.0), CaptureError("unplugged")], shots(2.0))
    sink = RecordingSink(room=50)
    run = Run(source, sink=sink)
    run.run()
    assert segments(sink) == [0] * 25 + [1] * 25
    assert [frame.index for frame in sink.frames] == list(range(50))
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(sink.frames))
    assert {frame.media_s for frame in sink.frames} == {None}
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


def test_a_camera_that_hangs_up_after_good_frames_is_opened_again_soon_but_not_hammered() -> None:
    short = [*shots(1.5), CaptureError("hung up")]
    run = Run(live(*[short] * 6, shots(1.0)), replace(FAST, jitter=0.0), RecordingSink(room=240))
    run.run()
    assert run.stop.waits == [0.5, 1.0, 2.0, 2.0, 2.0, 2.0]


def test_a_connection_that_gives_frames_makes_the_delays_small_again() -> None:
    lost = CaptureError("lost")
    source = live(lost, lost, lost, [*shots(4.0), lost], [*shots(6.0), lost], shots(1.0))
    run = Run(source, replace(FAST, jitter=0.0), RecordingSink(room=260))
    run.run()
    assert run.stop.waits == [0.5, 1.0, 2.0, 0.5, 0.5]


@given(st.integers(1, 20), st.floats(0.01, 2.0), st.floats(0.0, 1.0), st.randoms())
def test_delays_stay_between_their_limits(attempts: int, min_s: float, jitter: float, rng: random.Random) -> None:
    backoff = Backoff(min_s, 30.0, jitter, rng)
    delays = [backoff.next() for _ in range(attempts)]
    assert all(min_s <= delay_s <= 30.0 * (1 + 1e-9) for delay_s in delays)
    assert delays[0] <= min_s * (1.0 + jitter)


def test_an_offline_camera_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    source = live(*[CaptureError("refused")] * 5, *[CaptureError("no route")] * 3, shots(1.0))
    with caplog.at_level(logging.WARNING, "monitor.live.capture"):
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


def test_an_error_that_is_not_the_cameras_own_is_shown_and_the_camera_opened_again() -> None:
    source = live([Shot(0.0), RuntimeError("a bug")])
    run = Run(source, sink=RecordingSink(room=2))
    run.run()
    assert run.sink.finished == ["scripted"]
    assert run.status.reconnects == 2
    assert all(reader.closed for reader in source.readers)


def test_the_streams_own_time_counts_and_never_goes_back_after_a_reconnect() -> None:
    """A burst of three seconds arrives at once; then the connection is lost."""
    source = live([*shots(0.4), CaptureError("lost")], shots(2.0))
    opened = source.open

    def ahead() -> ScriptedReader:
        reader = opened()
        grab = reader.grab

        def sooner() -> Position | None:
            found = grab()
            assert source.clock is not None
            if found is not None and source.opened == 1:
                source.clock.now = 1000.0  # all at once
                return replace(found, time_s=found.time_s * 10)
            return found

        reader.grab = sooner  # type: ignore[method-assign]
        return reader

    source.open = ahead  # type: ignore[method-assign]
    sink = Run(source, sink=RecordingSink(room=30)).run()
    steps = [b.time_s - a.time_s for a, b in itertools.pairwise(sink.frames)]
    assert steps[:9] == pytest.approx([0.4] * 9)
    assert 0 < steps[9] < 1
    assert steps[10:] == pytest.approx([0.04] * 19)
