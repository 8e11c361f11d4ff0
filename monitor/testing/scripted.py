"""Replacements for a camera, a clock and a queue: with them a capture loop runs without threads and without waiting."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.live.capture import Capture, CaptureSettings
from monitor.sources.source import Position, Reader, Source
from monitor.types import CaptureStatus, Frame, Image

FAST = CaptureSettings(speed=None)
"""Capture settings that play a file without pacing."""


class Clock:
    """A clock, in seconds, that moves only when a script or a test sets ``now``."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time, seconds."""
        return self.now


class ClockedStop(threading.Event):
    """A stop event: a wait for it takes no time but moves the clock. ``waits`` lists the waits, seconds."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Move the clock by ``timeout`` seconds at once. Returns True if the event is set."""
        if timeout is not None and not self.is_set():
            self.waits.append(timeout)
            self._clock.now += timeout
        return self.is_set()


@dataclass(frozen=True)
class Shot:
    """One frame of a script: media time (for a live source the clock moves to it), size, and whether it can be decoded.

    index  number in the source; None for the next number
    size   (width, height), pixels
    name   the name of the frame, for display
    """

    time_s: float
    index: int | None = None
    size: tuple[int, int] = (8, 6)
    readable: bool = True
    name: str = ""


Step = Shot | Exception | Callable[[], None]
"""A step of a script: a frame, an error to raise, or a function to call before the next step."""


class ScriptedSource(Source):
    """Plays one script per connection, and the last one for all later connections.

    If a script is an Exception, ``open`` raises it.
    """

    def __init__(
        self,
        scripts: Sequence[Sequence[Step] | Exception],
        *,
        live: bool,
        fps: float = 25.0,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("scripted", "a script")
        self.live = live
        self.fps = fps
        self.clock = clock
        self.opened = 0
        self.readers: list[ScriptedReader] = []
        self._scripts = list(scripts)

    def open(self) -> ScriptedReader:
        """Start the next script. Raises the script if it is an Exception."""
        script = self._scripts[min(self.opened, len(self._scripts) - 1)]
        self.opened += 1
        if isinstance(script, Exception):
            raise script
        self.readers.append(ScriptedReader(self, script))
        return self.readers[-1]


class ScriptedReader(Reader):
    """Plays one script. ``retrieved`` counts the decoded pictures."""

    def __init__(self, source: ScriptedSource, script: Sequence[Step]) -> None:
        self.fps = source.fps
        self.closed = False
        self.retrieved = 0
        self._live_clock = source.clock if source.live else None
        self._steps = list(script)
        self._origin = self._live_clock.now if self._live_clock else 0.0
        self._shot: Shot | None = None
        self._count = 0

    def grab(self) -> Position | None:
        """Run the script up to its next frame; None at its end. Raises the errors of the script."""
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, Exception):
                raise step
            if not isinstance(step, Shot):
                step()
                continue
            self._shot = step
            self.frame_name = step.name
            if self._live_clock:
                self._live_clock.now = self._origin + step.time_s
            index = self._count if step.index is None else step.index
            self._count += 1
            return Position(index, step.time_s)
        return None

    def retrieve(self) -> Image | None:
        """A black picture of the size in the script; None if the frame is not readable."""
        assert self._shot is not None
        self.retrieved += 1
        width, height = self._shot.size
        return np.zeros((height, width, 3), np.uint8) if self._shot.readable else None

    def close(self) -> None:
        """Record that the reader was closed."""
        self.closed = True


@dataclass
class RecordingSink:
    """Keeps every frame.

    room    number of frames after which no more are wanted; None for no limit
    on_put  called with each frame
    """

    room: int | None = None
    on_put: Callable[[Frame], None] = lambda _: None
    frames: list[Frame] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    def put(self, frame: Frame, *, stop: threading.Event, wait_s: float = 0.0) -> bool:  # noqa: ARG002
        """Keep a frame. Returns False if ``stop`` is set or there is no room."""
        if stop.is_set() or (self.room is not None and len(self.frames) >= self.room):
            return False
        self.frames.append(frame)
        self.on_put(frame)
        return True

    def finish(self, camera: str) -> None:
        """Record that the capture of this camera has ended."""
        self.finished.append(camera)


def shots(seconds: float, fps: float = 25.0, start_s: float = 0.0) -> list[Step]:
    """Frames of ``seconds`` seconds at a constant rate."""
    return [Shot(start_s + number / fps) for number in range(round(seconds * fps))]


def live(*scripts: Sequence[Step] | Exception, fps: float = 25.0) -> ScriptedSource:
    """A live source that plays these scripts, with a clock of its own."""
    return ScriptedSource(scripts, live=True, fps=fps, clock=Clock())


def recorded(*scripts: Sequence[Step], fps: float = 25.0) -> ScriptedSource:
    """A file-like source that plays these scripts."""
    return ScriptedSource(scripts, live=False, fps=fps)


class Run:
    """Captures a scripted source until it ends, with a clock that only the script and the waits move."""

    def __init__(
        self, source: ScriptedSource, settings: CaptureSettings = FAST, sink: RecordingSink | None = None
    ) -> None:
        self.clock = source.clock or Clock()
        self.stop = ClockedStop(self.clock)
        self.sink = sink or RecordingSink()
        self.capture = Capture(source, self.sink, settings, self.stop, self.clock, random.Random(1))

    def run(self) -> RecordingSink:
        """Capture until the end. Returns the sink with all frames."""
        self.capture.run()
        return self.sink

    @property
    def status(self) -> CaptureStatus:
        """The status of the capture."""
        return self.capture.status


def times(sink: RecordingSink) -> list[float]:
    """The stream times of the frames, seconds, rounded to microseconds."""
    return [round(frame.time_s, 6) for frame in sink.frames]


def segments(sink: RecordingSink) -> list[int]:
    """The segment numbers of the frames."""
    return [frame.segment for frame in sink.frames]
