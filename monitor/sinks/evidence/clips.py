"""Writes a clip frame by frame: H.264 in MP4 by PyAV, or VP8 in WebM by OpenCV if PyAV is not available.

Frames keep their real times. In MP4 each frame has its own time. OpenCV writes WebM at a fixed rate, so there frames
are repeated.

An unfinished clip can be played up to about its last two seconds, so that a killed monitor loses no more: MP4 is
written in fragments of a second. ``complete_clip`` makes an ordinary file of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2

from monitor.private_files import make_private_file, make_private_folder
from monitor.sinks.evidence.evidence_files import discard, partial_path
from monitor.types import Image

try:
    import av
    import av.error
except ImportError:  # PyAV has no wheel for this machine
    av = None  # type: ignore[assignment]

_TICKS = 90_000  # per second: the time base of MP4
_WEBM_FPS = 10.0
_OPTIONS = {"preset": "veryfast", "crf": "26"}
_FRAGMENTS = {"movflags": "+empty_moov+delay_moov+default_base_moof", "frag_duration": "1000000", "flush_packets": "1"}


class Clip(Protocol):
    """A clip that is being written. Every failure raises OSError; then call ``abandon``."""

    frames: int
    """Number of frames written so far."""

    def write(self, time_s: float, image: Image) -> None:
        """Add a frame, (h, w, 3) uint8 BGR in the size of the clip. It must be later than the last frame.

        time_s: time on the stream's clock, seconds.
        """

    def finish(self) -> int:
        """Complete the file and give it its final name; returns its size in bytes."""

    def abandon(self) -> None:
        """Discard the clip without leaving a file."""


def clip_suffix() -> str:
    """Return ``.mp4`` if H.264 can be written, else ``.webm``."""
    return ".mp4" if av is not None and "libx264" in av.codecs_available else ".webm"


def open_clip(path: Path, width: int, height: int, *, camera: str, started_at: float) -> Clip:
    """Begin a clip. The suffix of ``path`` selects the format. Width and height must be even. Raises OSError.

    started_at: time of the first frame, unix seconds; stored in an MP4 file for players.
    """
    make_private_folder(path.parent)
    make_private_file(partial_path(path))
    if path.suffix == ".mp4":
        return Mp4Clip(path, width, height, camera=camera, started_at=started_at)
    return WebmClip(path, width, height)


def complete_clip(partial: Path, path: Path) -> int:
    """Make an unfinished clip a complete one under its own name; returns its number of frames.

    If no frame can be read, it returns 0 and leaves the unfinished clip as it is. An MP4 is copied without its
    fragments, or stays fragmented if the disk has no room for the copy. Raises OSError.
    """
    if path.suffix != ".mp4":
        frames = _readable_frames(partial)
        if frames:
            partial.replace(path)
        return frames
    if av is None:
        return 0
    whole = path.with_name(f".{path.stem}.whole.partial.mp4")
    frames = 0
    try:
        make_private_file(whole)
        with (
            av.open(ffmpeg_name(partial)) as source,
            av.open(ffmpeg_name(whole), "w", format="mp4", options={"movflags": "+faststart"}) as target,
        ):
            target.metadata.update(source.metadata)
            video = source.streams.video[0]
            stream = target.add_stream_from_template(video)
            for packet in source.demux(video):
                if packet.dts is None or packet.is_corrupt:  # the last one is empty, or was cut off
                    continue
                packet.stream = stream
                target.mux(packet)
                frames += 1
        if frames:
            whole.replace(path)
            discard(partial)
    except (av.error.FFmpegError, OSError, IndexError):
        if frames:
            partial.replace(path)
    finally:
        discard(whole)
    return frames


class Mp4Clip:
    """H.264, yuv420p. Playback of the complete clip can start before the whole file is loaded (faststart)."""

    def __init__(self, path: Path, width: int, height: int, *, camera: str, started_at: float) -> None:
        self.frames = 0
        self._path, self._partial = path, partial_path(path)
        self._first_s = 0.0
        self._last_pts = -1
        try:
            self._container = av.open(ffmpeg_name(self._partial), "w", format="mp4", options=_FRAGMENTS)
            self._container.metadata["title"] = camera
            self._container.metadata["creation_time"] = datetime.fromtimestamp(started_at, UTC).isoformat()
            self._stream = self._container.add_stream("libx264", rate=25, options=_OPTIONS)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.thread_count = 1  # clips of several cameras and the detectors share the machine
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        except av.error.FFmpegError as error:
            discard(self._partial)
            raise _os_error(error) from error

    def write(self, time_s: float, image: Image) -> None:
        """See Clip."""
        if self.frames == 0:
            self._first_s = time_s
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        # The frames of a camera that catches up are a microsecond apart. The encoder refuses two of one tick.
        self._last_pts = max(self._last_pts + 1, round((time_s - self._first_s) * _TICKS))
        frame.pts = self._last_pts
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
        complete_clip(self._partial, self._path)
        return self._path.stat().st_size

    def abandon(self) -> None:
        """See Clip."""
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError):
            pass  # the file is discarded anyway
        finally:
            discard(self._partial)


class WebmClip:
    """VP8 at a fixed rate. Each frame is repeated until the time of the next frame."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.frames = 0
        self._path, self._partial = path, partial_path(path)
        self._size = (width, height)
        self._first_s = 0.0
        self._shown = 0
        self._last: Image | None = None
        self._writer = cv2.VideoWriter(
            ffmpeg_name(self._partial), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), _WEBM_FPS, self._size
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
        # OpenCV does not report a full disk. The only sign is that written frames cannot be read again.
        if _readable_frames(self._partial) < self._shown:
            raise OSError(f"{self._path.name} is incomplete: the disk may be full")
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


def ffmpeg_name(path: Path) -> str:
    """The path as FFmpeg takes it: it would take what stands before a colon in a relative path for a protocol."""
    return str(path.absolute())


def _readable_frames(path: Path) -> int:
    capture = cv2.VideoCapture(ffmpeg_name(path), cv2.CAP_FFMPEG)
    frames = 0
    while capture.grab():
        frames += 1
    capture.release()
    return frames


def _os_error(error: Exception) -> OSError:
    """Convert an error of FFmpeg to an OSError. Only some errors of PyAV are OSErrors; no other is one of the disk."""
    number = getattr(error, "errno", 0)
    text = getattr(error, "strerror", None) or str(error)
    return OSError(number, text if isinstance(error, OSError) else f"the video encoder refuses the frames ({text})")
