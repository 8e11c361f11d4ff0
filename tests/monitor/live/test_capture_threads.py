"""A capture loop in its own thread: it stops at once, and waits for room in the queue or drops frames."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from monitor.errors import CaptureError
from monitor.live.capture import Capture, CaptureSettings
from monitor.live.frame_queue import FrameQueue
from monitor.sources.video import VideoSource
from monitor.states import CameraState
from monitor.testing.scripted import FAST, Clock, RecordingSink, ScriptedSource, live, recorded, shots
from tests.helpers.made_footage import write_video

DEADLINE_S = 10.0


class Started:
    """A capture loop in its own thread, on the real clock."""

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
