"""A live camera: an RTSP or HTTP stream, or a USB device."""

from __future__ import annotations

import time
from typing import cast

import cv2

from monitor.errors import CaptureError, StallError
from monitor.sources.opencv import open_capture, plausible_fps
from monitor.sources.reach import why_unreachable
from monitor.sources.source import Position, Reader, Source
from monitor.text.redaction import redact
from monitor.types import Image

# A call that failed after this part of its deadline is taken to have run into it: OpenCV looks at the clock between
# packets only, and rounds.
_NEARLY = 0.9

# While a stream is opened the server goes on sending: a second or two of pictures, already old, comes at once.
# At most so many seconds of them are passed over; a server that never lets wait is no camera, but is played.
_BACKLOG_S = 3.0

# Which of them it is would take another attempt to log in, and some cameras lock out who makes too many.
_REACHED = "a wrong path, user or password, or no video; `run_monitor.py doctor` tells which"


class CameraSource(Source):
    """A camera that may be offline at any time.

    name            the camera's name
    address         RTSP(S) or HTTP(S) URL, or the index of a USB camera (``0`` is /dev/video0)
    open_timeout_s  how long connecting may take, seconds
    read_timeout_s  how long a frame may be waited for, seconds; USB cameras have a fixed 4 s
    hardware        decode a network camera on hardware, see ``open_capture``
    """

    live = True

    def __init__(
        self,
        name: str,
        address: str | int,
        *,
        open_timeout_s: float = 5.0,
        read_timeout_s: float = 4.0,
        hardware: bool = False,
    ) -> None:
        super().__init__(name, f"USB camera {address}" if isinstance(address, int) else redact(address))
        self._address = address
        self.open_timeout_s = open_timeout_s
        self.read_timeout_s = read_timeout_s
        self.hardware = hardware

    @property
    def networked(self) -> bool:
        """False for a USB camera."""
        return isinstance(self._address, str)

    def open(self) -> CameraReader:
        """Connect. Raises CaptureError (StallError when nothing answers in time)."""
        if isinstance(self._address, int):
            capture = open_capture(self._address, cv2.CAP_ANY)
            if not capture.isOpened():
                raise CaptureError(f"{self.label} cannot be opened: it is not plugged in, in use, or no permission")
            return CameraReader(capture, self)
        started = time.monotonic()
        capture = open_capture(
            self._address,
            cv2.CAP_FFMPEG,
            [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, max(1, round(self.open_timeout_s * 1000))),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, max(1, round(self.read_timeout_s * 1000))),
                # Decoding on n threads delays every picture by n - 1 frames.
                *(cv2.CAP_PROP_N_THREADS, 1),
            ],
            hardware=self.hardware,
        )
        if capture.isOpened():
            return CameraReader(capture, self)
        capture.release()
        took_s = time.monotonic() - started
        if took_s >= _NEARLY * self.open_timeout_s:
            raise StallError(f"{self.label} did not answer within {self.open_timeout_s:g} s")
        # A name server that took long takes as long again: whoever waits for this process would take it to hang.
        slow = took_s >= 0.5 * self.open_timeout_s
        why = f"not reachable, or {_REACHED}" if slow else why_unreachable(self._address) or _REACHED
        raise CaptureError(f"{self.label} cannot be opened: {why}")

    @property
    def address(self) -> str | int:
        """As given, password included: never show it, ``label`` is for people."""
        return self._address


class CameraReader(Reader):
    """An open connection to a camera. ``Position.time_s`` is seconds since it was opened.

    The first frame given out is the first that had to be waited for.
    """

    def __init__(self, capture: cv2.VideoCapture, source: CameraSource) -> None:
        self._capture = capture
        self._source = source
        self.fps = plausible_fps(capture)
        self._backlog = round(_BACKLOG_S * self.fps)
        self._opened = time.monotonic()
        self._last = Position(-1, -1.0)

    def grab(self) -> Position:
        """Wait for the next frame. Raises StallError after the read deadline, CaptureError when the stream ends."""
        waited_s = self._step()
        while self._backlog > 0 and waited_s < 0.5 / self.fps:
            self._backlog -= 1
            waited_s = self._step()
        self._backlog = 0
        now_s = time.monotonic() - self._opened
        self._last = Position(self._last.index + 1, max(now_s, self._last.time_s + 1e-6))
        return self._last

    def _step(self) -> float:
        """Grab one frame; returns the seconds it took."""
        started = time.monotonic()
        grabbed = self._capture.grab()
        took_s = time.monotonic() - started
        source = self._source
        # A read that has run into its deadline may still succeed: it gives out the picture the parser held back.
        if took_s >= source.read_timeout_s * (1.0 if grabbed else _NEARLY):
            raise StallError(f"{source.label} sent nothing for {source.read_timeout_s:g} s")
        if not grabbed:
            raise CaptureError(f"{source.label} closed the connection")
        return took_s

    def retrieve(self) -> Image | None:
        """The frame grabbed last, in memory of its own; None if it cannot be converted."""
        decoded, image = self._capture.retrieve()
        return cast(Image, image) if decoded else None

    def retrieve_into(self, memory: Image) -> Image | None:
        """See Reader.retrieve_into."""
        decoded, image = self._capture.retrieve(memory)
        return cast(Image, image) if decoded else None

    def close(self) -> None:
        """Hang up."""
        self._capture.release()
