"""A video file that behaves like a live camera: for ever, each frame when it is due, ready or not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from monitor.errors import CaptureError
from monitor.sources.opencv import open_capture
from monitor.sources.source import Position, Source
from monitor.sources.video import VideoReader
from monitor.types import Image

STAGGER_S = 0.2
"""Cameras are out of step with each other by up to so much: of 25 frames a second ten are analysed, two in 0.2 s."""


class LiveFile(Source):
    """A camera that needs no network.

    fps      frames a second of the wall clock, whatever the file says
    phase_s  its first frame is due when the monotonic clock is so far, seconds, into a period of STAGGER_S; that clock
             is the same in all processes, so cameras keep their distance whenever they are opened
    begin    0..1, the part of the file that is passed over at first: cameras of one file do not show the same at once
    blind    pictures are decoded and thrown away: none is ever given out
    """

    live = True

    def __init__(
        self, path: Path, name: str, *, fps: float, phase_s: float = 0.0, begin: float = 0.0, blind: bool = False
    ) -> None:
        super().__init__(name, f"{path} as a live camera")
        self.blind = blind
        self.path = path
        self.fps = fps
        self.phase_s = phase_s
        self.begin = begin

    def open(self) -> LiveFileReader:
        """Open the file. Raises CaptureError."""
        # One thread, as for a network camera: decoding on more delays every picture.
        capture = open_capture(str(self.path), parameters=[cv2.CAP_PROP_N_THREADS, 1])
        if not capture.isOpened():
            raise CaptureError(f"{self.path} is no video that OpenCV can read")
        return LiveFileReader(capture, self)


class LiveFileReader(VideoReader):
    """Waits for each frame's time and then decodes it; a reader that is late gets what is due at once, all of it.

    clock  monotonic seconds; sleep  waits so many
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        source: LiveFile,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(capture, source.label, counted=False)
        self.fps = source.fps
        self._blind = source.blind
        self._clock = clock
        self._sleep = sleep
        self._index = -1
        if source.begin > 0.0:
            frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            capture.set(cv2.CAP_PROP_POS_FRAMES, math.floor(source.begin * frames))
        self._opened_s = clock()
        self._first_s = next_in_phase(self._opened_s, source.phase_s)

    def grab(self) -> Position:
        """Wait for the next frame's time, then step to it. Raises CaptureError for a file without frames."""
        self._index += 1
        due_s = self._first_s + self._index / self.fps
        if (wait_s := due_s - self._clock()) > 0.0:
            self._sleep(wait_s)
        if not self._capture.grab():
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            if not self._capture.grab():
                raise CaptureError(f"{self._label}: no frame can be read")
        return Position(self._index, due_s - self._opened_s)

    def retrieve(self) -> Image | None:
        """See VideoReader; always None for a blind one."""
        return None if self._blind else super().retrieve()

    def retrieve_into(self, memory: Image) -> Image | None:
        """See VideoReader; always None for a blind one."""
        return None if self._blind else super().retrieve_into(memory)


def next_in_phase(now_s: float, phase_s: float) -> float:
    """The first time from now on that is ``phase_s`` after a multiple of STAGGER_S, seconds."""
    return now_s + (phase_s - now_s) % STAGGER_S


def live_files(path: Path, count: int, *, fps: float, blind: bool = False) -> list[LiveFile]:
    """Cameras ``cam01``, ``cam02`` ... of one file, spread over its length and out of step with each other."""
    golden = (math.sqrt(5) - 1) / 2  # its multiples are spread evenly, however many there are
    return [
        LiveFile(
            path,
            f"cam{k + 1:02d}",
            fps=fps,
            phase_s=k * golden % 1.0 * STAGGER_S,
            begin=k * golden**2 % 1.0,
            blind=blind,
        )
        for k in range(count)
    ]
