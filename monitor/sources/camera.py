"""A live camera: an RTSP or HTTP stream, or a USB device."""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path

import cv2

from monitor.errors import CaptureError, StallError
from monitor.sources.devices import device_index
from monitor.sources.link import USUAL, Link, certificate_problem
from monitor.sources.opencv import MOST_UNDECODED_LIVE, has_budget, open_capture, plausible_fps
from monitor.sources.picture_budget import MOST_PIXELS, file_fits
from monitor.sources.reach import why_unreachable
from monitor.sources.snapshot import SNAPSHOT_FPS, SnapshotReader, WebReader
from monitor.sources.source import Position, Reader, Source
from monitor.sources.sparing import Lateness, Sparing, SparingCapture
from monitor.sources.stream_clock import StreamClock
from monitor.sources.web_address import is_web, looks_like_picture
from monitor.text.commands import monitor_command
from monitor.text.redaction import redact
from monitor.types import Image

# A call that failed after this share of its deadline counts as timed out: OpenCV checks the clock only between packets,
# and it rounds.
_NEARLY = 0.9

# While a stream is being opened, the server continues to send: one or two seconds of old frames arrive at once.
# At most this many seconds of frames are skipped. A server that always has a frame ready is not a real camera; its
# frames are played anyway.
_BACKLOG_S = 3.0

_JPEG = b"\xff\xd8\xff"
_PEEK = 65_536
"""Bytes at the beginning of a stream in which the header of its first picture is looked for."""
_TICK_S = 1e-6
_SPOKEN_S = 1.0
"""Frames that cannot be decoded are returned after this time at the latest: a reader must not be silent for long."""
_WAITED_S = 0.001
"""An attempt that took longer has waited for data; at the end of a stream, it fails sooner."""

_AV1 = frozenset(cv2.VideoWriter.fourcc(*letters) for letters in ("AV01", "av01"))
"""OpenCV's FFmpeg opens such a stream, and then decodes nothing."""


def _reached() -> str:
    """Why a camera that can be reached gives no video.

    Finding out which of these is the cause needs another login attempt. Some cameras lock out a client after too many.
    """
    return f"a wrong path, user or password, or no video; `{monitor_command('doctor')}` reports which"


class CameraSource(Source):
    """A camera that may be offline at any time.

    name            the camera's name
    address         RTSP(S) or HTTP(S) URL, the index of a USB camera (``0`` is /dev/video0), or the path of its device
    open_timeout_s  timeout for connecting, seconds
    read_timeout_s  timeout for reading one frame, seconds; USB cameras have a fixed 4 s
    hardware        decode a network camera on hardware, see ``open_capture``
    snapshot_fps    requests per second if the address gives one picture per request, 0.5..30
    link            how to connect to an RTSP camera. If it is not the usual one, ``open`` changes the environment of
                    this process: use the source in a process of its own (``isolate``)
    """

    live = True

    def __init__(
        self,
        name: str,
        address: str | int | Path,
        *,
        open_timeout_s: float = 5.0,
        read_timeout_s: float = 4.0,
        hardware: bool = False,
        snapshot_fps: float = SNAPSHOT_FPS,
        link: Link = USUAL,
    ) -> None:
        super().__init__(name, redact(address) if isinstance(address, str) else f"USB camera {address}")
        self._address = address
        self.open_timeout_s = open_timeout_s
        self.read_timeout_s = read_timeout_s
        self.hardware = hardware
        self.snapshot_fps = snapshot_fps
        self.link = link

    @property
    def networked(self) -> bool:
        """False for a USB camera."""
        return isinstance(self._address, str)

    def open(self) -> Reader:
        """Connect. Raises CaptureError (StallError if nothing answers before the timeout)."""
        if not isinstance(self._address, str):
            index = self._address if isinstance(self._address, int) else device_index(self._address)
            capture = None if index is None else open_capture(index, cv2.CAP_ANY)
            if capture is None or not capture.isOpened():
                raise CaptureError(f"{self.label} cannot be opened: not plugged in, in use, or no permission")
            return self._within_budget(capture)
        if looks_like_picture(self._address) and (polled := self._poll_if_picture()):
            return polled
        self._connect_by_link()
        started = time.monotonic()
        capture = open_capture(
            self._address,
            cv2.CAP_FFMPEG,
            [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, max(1, round(self.open_timeout_s * 1000))),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, max(1, round(self.read_timeout_s * 1000))),
                # Decoding with n threads delays every picture by n - 1 frames.
                *(cv2.CAP_PROP_N_THREADS, 1),
            ],
            hardware=self.hardware,
        )
        if capture.isOpened():
            stream = self._within_budget(capture, time.monotonic() - started)
            return WebReader(stream, self._other_way) if is_web(self._address) else stream
        capture.release()
        took_s = time.monotonic() - started
        if took_s >= _NEARLY * self.open_timeout_s:
            raise StallError(f"{self.label} did not answer within {self.open_timeout_s:g} s")
        # A slow name server would be slow again. The process that waits for this one would then treat it as hung.
        slow = took_s >= 0.5 * self.open_timeout_s
        if self.link.check and not slow:
            refused = certificate_problem(self._address, self.link.options["ca_file"], 0.4 * self.open_timeout_s)
            if refused is not None:
                raise CaptureError(f"the certificate of {self.label} is refused: {refused}")
        why = f"not reachable, or {_reached()}" if slow else why_unreachable(self._address) or self._why_no_video()
        raise CaptureError(f"{self.label} cannot be opened: {why}")

    def _connect_by_link(self) -> None:
        assert isinstance(self._address, str)
        if self.link.check and not self._address.lower().startswith("rtsps://"):
            raise CaptureError(f"{self.label} has no certificate to check: use its rtsps:// address")
        try:
            self.link.set_for_opencv()
        except ValueError as error:
            raise CaptureError(f"{self.label} cannot be opened: {error}") from None

    def _within_budget(self, capture: cv2.VideoCapture, opened_in_s: float = 0.0) -> CameraReader:
        if not has_budget(capture):
            capture.release()
            raise self._too_large()
        if int(capture.get(cv2.CAP_PROP_FOURCC)) in _AV1:
            capture.release()
            raise CaptureError(f"{self.label} sends AV1, which OpenCV cannot decode: set the camera to H.264 or H.265")
        return CameraReader(capture, self, timed_out=opened_in_s >= _NEARLY * self.open_timeout_s)

    def _too_large(self) -> CaptureError:
        return CaptureError(f"the pictures of {self.label} have more than {MOST_PIXELS} pixels: set a smaller size")

    def _other_way(self) -> SnapshotReader | None:
        """For a stream that gave no picture, see ``_poll_if_picture``. Raises CaptureError for pictures too large.

        FFmpeg does not tell the size of a picture that it refuses. The process that waits for this one must not treat
        it as hung, so both requests together take less than the time of a read.
        """
        assert isinstance(self._address, str)
        timeout_s = min(self.open_timeout_s, 0.4 * self.read_timeout_s)
        if (polled := self._poll_if_picture(timeout_s)) is None:
            from monitor.sources.web import Web  # only cameras of the web need a client of HTTP

            begin = Web(self._address, timeout_s).peek(_PEEK)
            start = begin.find(_JPEG)
            if start >= 0 and not file_fits(begin[start:]):
                raise self._too_large()
        return polled

    def _poll_if_picture(self, timeout_s: float | None = None) -> SnapshotReader | None:
        """A reader that asks for pictures one by one; None if the address may give a stream.

        Raises CaptureError if the answer is neither a picture nor a stream.
        """
        assert isinstance(self._address, str)
        from monitor.sources.web import Web

        answer = Web(self._address, timeout_s or self.open_timeout_s).ask()
        if (what := answer.no_picture()) is not None:
            raise CaptureError(f"{self.label} {what}")
        if not answer.is_picture:
            return None
        return SnapshotReader(self._address, self.label, fps=self.snapshot_fps, read_timeout_s=self.read_timeout_s)

    def _why_no_video(self) -> str:
        """Why FFmpeg cannot open an address that can be reached. Asks a web server, without a login."""
        assert isinstance(self._address, str)
        if not is_web(self._address):
            return _reached()
        from monitor.sources.web import why_no_video

        return why_no_video(self._address, 0.4 * self.open_timeout_s) or _reached()

    @property
    def address(self) -> str | int | Path:
        """The address as given, including any password: never show it. ``label`` is for display."""
        return self._address


class CameraReader(Reader):
    """An open connection to a camera. ``Position.time_s`` is stream time: seconds since the connection was opened.

    It follows the stream's own timestamps if they are sound, see StreamClock. So it may run ahead of the time that has
    passed if frames arrive in bursts. The first frame returned is the first one that the reader had to wait for; older
    frames are skipped. A frame of a network camera that cannot be decoded, such as a damaged picture of MJPEG, has a
    position, but no picture.

    timed_out  the time to open the stream was over before FFmpeg knew it: it then gives nothing more
    """

    def __init__(self, capture: cv2.VideoCapture, source: CameraSource, *, timed_out: bool = False) -> None:
        self.fps = plausible_fps(capture)
        # What decodes on hardware costs no core.
        self._capture = SparingCapture(capture, self.fps, whole=source.hardware)
        self.sparing = self._capture.able
        self._source = source
        self._backlog = round(_BACKLOG_S * self.fps)
        self._timed_out = timed_out
        self._opened = time.monotonic()
        self._clock = StreamClock()
        self._last = Position(-1, 0.0)
        self._sparing, self._lateness = Sparing(self.fps), Lateness()
        self._ready: deque[tuple[Position, bool]] = deque()  # positions to return, and whether they have a picture
        self._decoded = True  # whether the last grabbed frame has a picture
        self._in_a_row = self._waited_for = 0  # frames that could not be decoded; and those that were waited for

    def grab(self) -> Position:
        """Wait for the next frame. Raises StallError after the read timeout, CaptureError when the stream ends."""
        while True:
            if not self._ready:
                self._read()
            position, self._decoded = self._ready.popleft()
            spared = self._capture.spared and not self._ready
            if (given := self._sparing.take(position, spared=spared)) is not None:
                return given

    def spare(self, share: float) -> None:
        """See Reader.spare: only streams of H.264 and H.265 are decoded in part."""
        self._capture.spare(share)

    def _read(self) -> None:
        """Wait for the next frame that can be decoded, a second at most if there are others."""
        failed, since = 0, 0.0
        while True:
            waited_s = self._step()
            if waited_s is None:
                # OpenCV says the same at the end of a stream. So this frame counts only if another one follows.
                failed += 1
                since = since or time.monotonic()
                if time.monotonic() - since >= _SPOKEN_S:
                    break
            elif self._backlog > 0 and waited_s < 0.5 / self.fps:
                self._backlog -= 1
            else:
                self._backlog = self._in_a_row = self._waited_for = 0
                break
        now_s = time.monotonic() - self._opened
        time_s = now_s
        if waited_s is not None:
            # OpenCV counts frames at a nominal rate if a stream has no timestamps: the clock finds that out.
            pts_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0
            time_s = self._clock.time_of(now_s, pts_s if math.isfinite(pts_s) else None, waited_s)
            if not self._clock.trusted:  # only the stream itself can tell how late it is
                self._lateness = Lateness()
            elif self._lateness.take(now_s, time_s, self._clock.longest_wait_s):
                self._capture.catch_up()
        last, came = self._last, failed + (waited_s is not None)
        step_s = max(_TICK_S, (time_s - last.time_s) / came)
        for number in range(1, came + 1):
            # The clock alone says when a frame with a picture was taken; the others lie evenly before it.
            sure = number == came and time_s > self._last.time_s
            self._last = Position(last.index + number, time_s if sure else last.time_s + number * step_s)
            self._ready.append((self._last, waited_s is not None and number == came))

    def _step(self) -> float | None:
        """Grab one frame; return how many seconds this took. None: it cannot be decoded, or the stream has ended."""
        started = time.monotonic()
        grabbed = self._capture.grab()
        took_s = time.monotonic() - started
        source = self._source
        # A read that has reached its timeout may still succeed: it then returns a picture that the parser held back.
        if took_s >= source.read_timeout_s * (1.0 if grabbed else _NEARLY):
            raise StallError(f"{source.label} sent nothing for {source.read_timeout_s:g} s")
        if grabbed:
            return took_s
        self._in_a_row += 1
        self._waited_for += took_s > _WAITED_S
        if not source.networked:
            raise CaptureError(f"{source.label} closed the connection")
        if self._in_a_row >= MOST_UNDECODED_LIVE:
            if self._waited_for > MOST_UNDECODED_LIVE // 2:
                count = MOST_UNDECODED_LIVE
                raise CaptureError(
                    f"{source.label} sent {count} pictures in a row that cannot be decoded: check its settings"
                )
            if self._timed_out and self._last.index < 0:
                raise CaptureError(
                    f"{source.label} gave too few frames within {source.open_timeout_s:g} s to be opened: if its "
                    "frames come so rarely, raise open_timeout_s and read_timeout_s under [capture]"
                )
            raise CaptureError(f"{source.label} closed the connection")
        return None

    def retrieve(self) -> Image | None:
        """The last grabbed frame, as a new array; None if it cannot be decoded."""
        if not self._decoded:
            return None
        decoded, image = self._capture.retrieve()
        return image if decoded else None

    def retrieve_into(self, memory: Image) -> Image | None:
        """See Reader.retrieve_into."""
        if not self._decoded:
            return None
        decoded, image = self._capture.retrieve(memory)
        return image if decoded else None

    def close(self) -> None:
        """Close the connection."""
        self._capture.release()
