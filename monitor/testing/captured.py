"""Runs a capture loop in a thread of its own and keeps its frames, so that a test can wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from monitor.live.capture import Capture, CaptureSettings
from monitor.sources.source import Source
from monitor.types import Frame

DEADLINE_S = 20.0
"""Seconds that a test waits, at most."""
QUICK = CaptureSettings(backoff_min_s=0.2, backoff_max_s=0.5)
"""Capture settings with short delays before a lost camera is opened again."""


@dataclass
class Watched:
    """A sink that keeps the frames. A test can wait for them."""

    frames: list[Frame] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    finished: bool = False

    def put(self, frame: Frame, *, stop: threading.Event, wait_s: float = 0.0) -> bool:  # noqa: ARG002
        """Keep a frame. Returns False if ``stop`` is set."""
        with self.changed:
            self.frames.append(frame)
            self.changed.notify_all()
        return not stop.is_set()

    def finish(self, camera: str) -> None:
        """Record that the capture has ended."""
        assert camera
        self.finished = True

    def more(self, count: int, within_s: float = DEADLINE_S) -> bool:
        """Wait for ``count`` more frames. Returns False if they do not arrive in time."""
        with self.changed:
            until = len(self.frames) + count
            return self.changed.wait_for(lambda: len(self.frames) >= until, within_s)

    def segment(self, number: int, within_s: float = DEADLINE_S) -> bool:
        """Wait for a frame of this segment or a later one. Returns False if it does not arrive in time."""
        with self.changed:
            return self.changed.wait_for(lambda: bool(self.frames) and self.frames[-1].segment >= number, within_s)


@contextmanager
def captured(source: Source, settings: CaptureSettings = QUICK) -> Iterator[tuple[Capture, Watched]]:
    """Capture a source in a thread while the block runs. The thread must end within DEADLINE_S of the block's end."""
    stop, sink = threading.Event(), Watched()
    capture = Capture(source, sink, settings, stop)
    thread = threading.Thread(target=capture.run, daemon=True)
    thread.start()
    try:
        yield capture, sink
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert sink.finished


def eventually(condition: Callable[[], bool], within_s: float = DEADLINE_S) -> bool:
    """Poll a condition that has no event to wait for. Returns False if it stays false until the deadline."""
    deadline, tick = time.monotonic() + within_s, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        tick.wait(0.02)
    return True
