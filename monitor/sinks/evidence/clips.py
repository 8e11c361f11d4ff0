"""Writes a clip frame by frame: H.264 in MP4 by PyAV, or VP8 in WebM by OpenCV where PyAV is not to be had.

Frames keep their real times: in MP4 each has its own; in WebM, which OpenCV writes at a fixed rate, they are repeated.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2

from monitor.sinks.evidence.evidence_files import discard, partial_path
from monitor.types import Image

try:
    import av
    import av.error
except ImportError:  # PyAV has no wheel for this machine
    av = None  # type: ignore[assignment]

_TICKS = 90_000  # a second, the clock of MP4's times
_WEBM_FPS = 10.0
_OPTIONS = {"preset": "veryfast", "crf": "26"}


class Clip(Protocol):
    """A clip that is being written. Whatever fails raises OSError; then abandon it."""

    frames: int
    """Frames written so far."""

    def write(self, time_s: float, image: Image) -> None:
        """Add a frame, (h, w, 3) uint8 BGR in the clip's size, later than the last.

        time_s: on the stream's clock, seconds.
        """

    def finish(self) -> int:
        """Make the file whole and give it its name; returns its size in bytes."""

    def abandon(self) -> None:
        """Leave no file behind."""


def clip_suffix() -> str:
    """``.mp4`` where H.264 can be written, else ``.webm``."""
    return ".mp4" if av is not None and "libx264" in av.codecs_available else ".webm"


def open_clip(path: Path, width: int, height: int, *, camera: str, started_at: float) -> Clip:
    """Begin a clip; the suffix of ``path`` says which kind. Width and height are even. Raises OSError.

    started_at: unix seconds of the first frame, kept in the file for players.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mp4":
        return Mp4Clip(path, width, height, camera=camera, started_at=started_at)
    return WebmClip(path, width, height)


class Mp4Clip:
    """H.264, yuv420p, playable from its first bytes on (faststart)."""

    def __init__(self, path: Path, width: int, height: int, *, camera: str, started_at: float) -> None:
        self.frames = 0
        self._path, self._partial = path, partial_path(path)
        self._first_s = 0.0
        try:
            self._container = av.open(str(self._partial), "w", format="mp4", options={"movflags": "+faststart"})
            self._container.metadata["title"] = camera
            self._container.metadata["creation_time"] = datetime.fromtimestamp(started_at, UTC).isoformat()
            self._stream = self._container.add_stream("libx264", rate=25, options=_OPTIONS)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.thread_count = 1  # several cameras' clips and the detectors share the machine
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        except av.error.FFmpegError as error:
            discard(self._partial)
            raise _os_error(error) from error

    def write(self, time_s: float, image: Image) -> None:
        """See Clip."""
        if self.frames == 0:
            self._first_s = time_s
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = round((time_s - self._first_s) * _TICKS)
        frame.time_base = Fraction(1, _TICKS)
        try:
            self._container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as error:
            raise _os_error(error) from error
        self.frames += 1

    def finish(self) -> int:
        """See Clip."""
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except av.error.FFmpegError as error:
            raise _os_error(error) from error
        size = self._partial.stat().st_size
        self._partial.replace(self._path)
        return size

    def abandon(self) -> None:
        """See Clip."""
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError):
            pass  # it is thrown away anyhow
        finally:
            discard(self._partial)


class WebmClip:
    """VP8 at a fixed rate; each frame is repeated until the next one's time."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.frames = 0
        self._path, self._partial = path, partial_path(path)
        self._size = (width, height)
        self._first_s = 0.0
        self._shown = 0
        self._last: Image | None = None
        self._writer = cv2.VideoWriter(
            str(self._partial), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), _WEBM_FPS, self._size
        )
        if not self._writer.isOpened():
            discard(self._partial)
            raise OSError(f"OpenCV cannot write {path.name}")

    def write(self, time_s: float, image: Image) -> None:
        """See Clip."""
        if self._last is None:
            self._first_s = time_s
        else:
            self._repeat_until(time_s)
        self._last = image
        self.frames += 1

    def finish(self) -> int:
        """See Clip."""
        if self._last is not None:
            self._writer.write(self._last)
            self._shown += 1
        self._writer.release()
        size = self._partial.stat().st_size
        # OpenCV tells nobody of a disk that is full: frames that cannot be read again are the only sign.
        if _readable_frames(self._partial) < self._shown:
            raise OSError(f"{self._path.name} is incomplete, the disk may be full")
        self._partial.replace(self._path)
        return size

    def abandon(self) -> None:
        """See Clip."""
        self._writer.release()
        discard(self._partial)

    def _repeat_until(self, time_s: float) -> None:
        assert self._last is not None
        while self._shown < round((time_s - self._first_s) * _WEBM_FPS):
            self._writer.write(self._last)
            self._shown += 1


def _readable_frames(path: Path) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = 0
    while capture.grab():
        frames += 1
    capture.release()
    return frames


def _os_error(error: Exception) -> OSError:
    """FFmpeg's error as the system's: only some of PyAV's are OSErrors."""
    number = getattr(error, "errno", 0)
    return OSError(number, getattr(error, "strerror", None) or str(error))
