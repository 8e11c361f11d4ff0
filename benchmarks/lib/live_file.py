"""A video file that behaves like a live camera: it loops without end and gives each frame when the frame is due."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from monitor.errors import CaptureError
from monitor.sources.opencv import open_capture
from monitor.sources.source import Position, Source
from monitor.sources.sparing import LATE_S, Sparing, SparingCapture
from monitor.sources.video import VideoReader
from monitor.types import Image

STAGGER_S = 0.2
"""Largest phase offset between cameras. With 25 frames per second and ten analysed, two are analysed in this time."""


class LiveFile(Source):
    """A camera that needs no network.

    fps      frames per second of wall-clock time, independent of the rate that the file declares
    phase_s  the first frame is due this many seconds after the start of a period of STAGGER_S on the monotonic clock.
             All processes share that clock, so cameras keep their offsets at any time of opening
    begin    0..1, share of the file to skip at first, so that cameras of one file do not show the same at once
    blind    True: frames are decoded and discarded; retrieve always gives None
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
        return self.read_with(time.monotonic, time.sleep)

    def read_with(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> LiveFileReader:
        """Open the file for a reader with this clock, see LiveFileReader. Raises CaptureError."""
        # One thread, as for a network camera, because decoding with more threads delays every frame.
        capture = open_capture(str(self.path), parameters=[cv2.CAP_PROP_N_THREADS, 1])
        if not capture.isOpened():
            raise CaptureError(f"{self.path} is not a video that OpenCV can read")
        return LiveFileReader(capture, self, clock, sleep)


class LiveFileReader(VideoReader):
    """Waits until each frame is due and then decodes it. A reader that is late gets all due frames at once.

    clock  returns monotonic seconds
    sleep  waits this number of seconds
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        source: LiveFile,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(capture, source.label)
        self.fps = source.fps
        self._sparing_capture = SparingCapture(capture, source.fps)
        self._sparing = Sparing(source.fps)
        self.sparing = self._sparing_capture.able
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
        """Wait until the next frame is due, then step to it. Raises CaptureError for a file without frames."""
        while True:
            self._index += 1
            due_s = self._first_s + self._index / self.fps
            if (wait_s := due_s - self._clock()) > 0.0:
                self._sleep(wait_s)
            capture = self._sparing_capture
            if not capture.grab():
                capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                if not capture.grab():
                    raise CaptureError(f"{self._label}: no frame can be read")
            if self._clock() - due_s > LATE_S:
                capture.catch_up()
            position = Position(self._index, due_s - self._opened_s)
            if (given := self._sparing.take(position, spared=capture.spared)) is not None:
                return given

    def spare(self, share: float) -> None:
        """See Reader.spare: as for a network camera."""
        self._sparing_capture.spare(share)

    def retrieve(self) -> Image | None:
        """The last grabbed frame, as a new array; None if it cannot be decoded, and for a blind camera."""
        return None if self._blind else self._sparing_capture.retrieve()[1]

    def retrieve_into(self, memory: Image) -> Image | None:
        """See Reader.retrieve_into; always None for a blind camera."""
        return None if self._blind else self._sparing_capture.retrieve(memory)[1]


def next_in_phase(now_s: float, phase_s: float) -> float:
    """The first time from now on that is ``phase_s`` after a multiple of STAGGER_S, in seconds."""
    return now_s + (phase_s - now_s) % STAGGER_S


def live_files(path: Path, count: int, *, fps: float, blind: bool = False) -> list[LiveFile]:
    """Cameras ``cam01``, ``cam02`` ... of one file, with start positions and phases that are spread evenly."""
    golden = (math.sqrt(5) - 1) / 2  # its multiples modulo 1 are spread evenly for any number of cameras
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
