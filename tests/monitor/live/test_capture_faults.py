"""Errors that no one expected in a capture thread: they cost only their own camera."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import CaptureError, ShortageError
from monitor.live.capture import Capture, CaptureSettings
from monitor.live.pacing import Backoff
from monitor.live.watch import Watch
from monitor.sources.source import Reader
from monitor.states import CameraState
from monitor.testing.fakes import LevelSource, fleet_of, watched_by
from monitor.testing.scripted import FAST, ClockedStop, RecordingSink, Run, live, recorded, segments, shots
from monitor.threads.stage import Stage

DEADLINE_S = 20
ERRORS: list[Exception] = [
    OverflowError("Python int too large to convert to C int"),
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    MemoryError(),
    RuntimeError("cannot start new thread"),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    RecursionError("too deep"),
    ZeroDivisionError("rtsp://admin:hunter2@10.0.0.9/ divided by zero"),
    ShortageError("no descriptor left"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_camera_comes_back_after_any_error(error: Exception) -> None:
    source = live(error, [*shots(1.0), error], shots(2.0))
    run = Run(source, sink=RecordingSink(room=50))
    run.run()
    assert segments(run.sink) == [0] * 25 + [1] * 25
    assert run.status.reconnects == 2
    assert run.sink.finished == ["scripted"]


def test_the_reason_is_shown_in_a_sentence_without_a_secret() -> None:
    shown: list[tuple[CameraState, str]] = []
    source = live(ZeroDivisionError("rtsp://admin:hunter2@10.0.0.9/ divided by zero"), shots(1.0))
    run = Run(source, sink=RecordingSink(room=25))

    class Watching(ClockedStop):
        def wait(self, timeout: float | None = None) -> bool:
            shown.append((run.status.state, run.status.detail))
            return super().wait(timeout)

    run.capture = Capture(source, run.sink, FAST, Watching(run.clock), run.clock)
    run.run()
    assert shown[0][0] is CameraState.OFFLINE
    assert shown[0][1].startswith("a script cannot be watched, because of an unexpected error (ZeroDivisionError: ")
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize(
    "error", [e for e in ERRORS if not isinstance(e, ShortageError)], ids=lambda e: type(e).__name__
)
def test_a_file_fails_alone(error: Exception) -> None:
    run = Run(recorded([*shots(1.0), error]))
    run.run()
    assert len(run.sink.frames) == 25
    assert run.status.state is CameraState.FAILED
    assert type(error).__name__ in run.status.detail


def test_a_file_waits_until_the_machine_has_room_to_open_it() -> None:
    run = Run(recorded(ShortageError("no descriptor left"), ShortageError("no descriptor left"), shots(1.0)))  # type: ignore[arg-type]
    run.run()
    assert len(run.sink.frames) == 25
    assert run.status.state is CameraState.ENDED
    assert len(run.stop.waits) == 2


class Failing(LevelSource):
    """Raises an error at every open."""

    def __init__(self, name: str, error: Exception, *, live: bool) -> None:
        super().__init__(name, [], live=live)
        self.error = error

    def open(self) -> Reader:
        raise self.error


@pytest.mark.parametrize("is_live", [True, False])
def test_the_other_cameras_are_watched_to_their_end(is_live: bool) -> None:
    stop = threading.Event()
    bad = Failing("bad", OverflowError("too large"), live=is_live)
    capture = CaptureSettings(speed=None, backoff_min_s=0.01, backoff_max_s=0.02)
    fleet = fleet_of(watched_by(bad, capture=capture), watched_by(LevelSource("good", [25] * 60)))

    def ended() -> None:
        if fleet.get("good").feed.status.state is CameraState.ENDED:  # type: ignore[union-attr]
            stop.set()

    report = Watch(fleet, []).run(stop, DEADLINE_S, ended)
    found = {camera.name: (camera.state, camera.analysed) for camera in report.cameras}
    assert found["good"] == (CameraState.ENDED, 60)
    assert found["bad"][0] in (CameraState.OFFLINE, CameraState.ENDED, CameraState.FAILED)


def test_a_camera_without_a_thread_has_failed_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def full(thread: threading.Thread) -> None:
        if thread.name == "capture bad":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", full)
    fleet = fleet_of(watched_by(LevelSource("bad", [25] * 9)), watched_by(LevelSource("good", [25] * 9)))
    report = Watch(fleet, []).run(threading.Event(), DEADLINE_S)
    found = {camera.name: (camera.state, camera.analysed, camera.detail) for camera in report.cameras}
    assert found["good"][:2] == (CameraState.ENDED, 9)
    assert found["bad"][:2] == (CameraState.FAILED, 0)
    assert "no room for another thread" in found["bad"][2]


def test_a_stage_that_cannot_start_tells_like_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    told: list[Stage] = []
    stage = Stage("late", lambda: None, told.append)
    monkeypatch.setattr(threading.Thread, "start", full)
    stage.start()
    assert told == [stage]
    assert not stage.alive


finite = st.floats(1e-300, 1e308)


@given(finite, finite, st.floats(0, 1e308))
def test_a_wait_fits_the_clock_whatever_the_settings(min_s: float, max_s: float, jitter: float) -> None:
    class Highest:
        random: Callable[[], float] = staticmethod(lambda: 1.0)

    backoff = Backoff(min_s, max_s, jitter, Highest())  # type: ignore[arg-type]
    for _ in itertools.repeat(None, 5):
        assert 0.0 <= backoff.next() <= threading.TIMEOUT_MAX
    assert issubclass(ShortageError, CaptureError)
