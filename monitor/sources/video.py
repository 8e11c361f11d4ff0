"""A video file as a source."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path, PurePosixPath
from typing import cast

import cv2

from monitor.errors import CaptureError, SourceError
from monitor.sources.av_capture import AvCapture, has_only_sound, survey
from monitor.sources.opencv import MOST_UNDECODED, has_budget, name_for_opencv, open_capture, plausible_fps, retrieved
from monitor.sources.picture_budget import MOST_PIXELS
from monitor.sources.source import Position, Reader, Source
from monitor.text.redaction import redact
from monitor.types import Image

VIDEO_SUFFIXES = frozenset(
    [
        ".avi",
        ".mp4",
        ".m4v",
        ".mkv",
        ".mov",
        ".webm",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
        ".h264",
        ".h265",
    ]
)


COUNTED = frozenset([".avi", ".mp4", ".m4v", ".mkv", ".mov", ".webm", ".3gp", ".flv"])
"""Containers that store their length; for others FFmpeg estimates it from the bit rate."""
NO_VIDEO = "is not a video that OpenCV can read"
"""Said of a file that may be damaged, of another format, or no video at all."""
UNKNOWN_CODEC = "holds video of a codec that this FFmpeg does not know"
_MISSING_SHARE, _MISSING_S = 0.1, 1.0
"""How much may be missing at the end of a file (share of its length, and seconds): stored lengths are not exact."""
_INDEXED = frozenset([".mp4", ".m4v", ".mov", ".3gp"])
"""Containers with an index of all frames: of these, not a single one may be missing."""
_UNDECODED_SHARE = 0.2
"""Share of the frames that may be damaged: they are left out and counted."""
_JUMP_S, _JUMP_FRAMES = 1.0, 10
"""A jump in time may hide lost frames if it is longer than both: seconds, and frames."""


class VideoSource(Source):
    """A video file that FFmpeg can decode. If it holds several video streams, the largest is shown.

    path      the file, or the http(s) URL of a recording
    name      the camera's name; default: the stem of the file name
    threads   number of decoding threads; None: FFmpeg decides
    hardware  decode on hardware, see ``open_capture``
    """

    def __init__(
        self, path: Path | str, name: str | None = None, *, threads: int | None = None, hardware: bool = False
    ) -> None:
        label = redact(path) if isinstance(path, str) else str(path)
        super().__init__(name or PurePosixPath(label).stem, label)
        self.path = path
        self.threads = threads
        self.hardware = hardware

    def open(self) -> VideoReader:
        """Open the file. Raises SourceError."""
        if isinstance(self.path, str):
            return self._reader(self._capture(self.path))
        try:
            exists = self.path.is_file()
        except OSError as error:
            why = error.strerror or error
            raise SourceError(f"{self.label} cannot be read ({why}): check the path and the permissions") from error
        if not exists:
            raise SourceError(f"no such file: {self.label}")
        try:
            if self.path.stat().st_size == 0:
                raise SourceError(f"{self.label} is empty (0 bytes)")
            with name_for_opencv(self.path) as name:
                capture = self._capture(name)
        except OSError as error:
            raise SourceError(f"{self.label} cannot be read ({error.strerror}): check its permissions") from error
        return self._reader(capture)

    def _reader(self, capture: cv2.VideoCapture) -> VideoReader:
        if not capture.isOpened():
            raise SourceError(f"{self.label} {NO_VIDEO}")
        if not has_budget(capture):
            capture.release()
            raise SourceError(f"the pictures of {self.label} are larger than {MOST_PIXELS} pixels: scale them down")
        name = self.path if isinstance(self.path, str) else str(self.path.absolute())
        counted = name if suffix_of(self.path) in COUNTED else None
        return VideoReader(capture, self.label, counted, self.path if isinstance(self.path, Path) else None)

    def _capture(self, name: str) -> cv2.VideoCapture:
        """The file, opened by OpenCV or by its stand-in. Raises SourceError for an unknown codec."""
        found = survey(name)
        if found is not None and not found.codec:
            raise SourceError(f"{self.label} {UNKNOWN_CODEC}")
        if found is None and has_only_sound(name):
            raise SourceError(f"{self.label} holds sound, but no pictures")
        if found is not None and not found.opencv:
            return cast(cv2.VideoCapture, AvCapture(name, found.index, self.threads))
        threads = [] if self.threads is None else [cv2.CAP_PROP_N_THREADS, self.threads]
        return open_capture(name, parameters=threads, hardware=self.hardware)

    def check(self) -> None:
        """Raise SourceError unless one of the first frames can be decoded."""
        with self.open() as reader:
            for _ in range(MOST_UNDECODED):
                if reader.grab() is None:
                    break
                if reader.retrieve() is not None:
                    return
        raise SourceError(f"{self.label} {NO_VIDEO}")


class VideoReader(Reader):
    """Steps through a file to its real end, because the container's frame count may be slightly wrong.

    The media time is the container's time if it increases from frame to frame, otherwise the time of the previous
    frame plus 1 / fps. The first frame is at 0 s. A frame that cannot be decoded has a position, but no picture.

    counted  the file or URL, if its container stores a length: a file that ends long before it may be truncated. Then
             its packets decide. None if the length says nothing
    path     the file, if it is one: it is asked whether a jump in time is a part that cannot be read
    """

    def __init__(
        self, capture: cv2.VideoCapture, label: str, counted: str | None = None, path: Path | None = None
    ) -> None:
        self._capture = capture
        self._label = label
        self._counted = counted
        self._path = path
        self.fps = plausible_fps(capture)
        self._last: Position | None = None
        self._first_s = 0.0
        self._ready: deque[tuple[Position, bool]] = deque()  # positions to return, and whether they have a picture
        self._decoded = True  # whether the last grabbed frame has a picture
        self._undecoded = 0  # frames before the end that could not be decoded
        self._jumped_s = 0.0  # seconds in jumps that may hide lost frames

    @property
    def claimed_s(self) -> float | None:
        """The length stored in the container, seconds; it may be wrong. None if the container does not store one."""
        frames = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return frames / self.fps if frames > 0 else None

    def grab(self) -> Position | None:
        """Step to the next frame; None at the end. Raises CaptureError if the file is truncated."""
        if not self._ready and not self._read():
            self._check_end()
            return None
        self._last, self._decoded = self._ready.popleft()
        return self._last

    def _read(self) -> bool:
        """Read up to the next frame that can be decoded. False at the end."""
        failed = 0
        while not self._capture.grab():
            # OpenCV says the same at the end of a file. So this frame counts only if another one follows.
            failed += 1
            if failed >= MOST_UNDECODED:
                return False
        self._undecoded += failed
        container_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0
        step_s = 1.0 / self.fps
        last = self._last or Position(-1, -step_s)
        if self._last is None:
            self._first_s = container_s - failed * step_s
        time_s = container_s - self._first_s
        if not time_s > last.time_s:  # also false for NaN
            time_s = last.time_s + (failed + 1) * step_s
        if last.index >= 0 and time_s - last.time_s > max(_JUMP_S, _JUMP_FRAMES * step_s):
            self._jumped_s += time_s - last.time_s
        for number in range(1, failed + 1):
            between_s = last.time_s + number * (time_s - last.time_s) / (failed + 1)
            self._ready.append((Position(last.index + number, between_s), False))
        self._ready.append((Position(last.index + failed + 1, time_s), True))
        return True

    def _check_end(self) -> None:
        self._check_length()
        if self._path is None or self._last is None:
            return
        read_s = self._last.time_s + 1.0 / self.fps
        if self._jumped_s <= _UNDECODED_SHARE * read_s:
            return
        from monitor.sources.video_end import lost_in_holes  # loads PyAV, only for files with long jumps

        lost_s = lost_in_holes(self._path.absolute())
        if lost_s > _UNDECODED_SHARE * read_s:
            raise CaptureError(
                f"{lost_s:.1f} of the {read_s:.1f} s of {self._label} are lost, because parts of the file cannot be "
                "read: it is damaged; copy it again"
            )

    def _check_length(self) -> None:
        claimed_s, last = self.claimed_s, self._last
        if self._counted is None or claimed_s is None or last is None:
            return
        count, read_s = last.index + 1, last.time_s + 1.0 / self.fps
        if count / self.fps >= claimed_s and not self._undecoded:
            return
        early = max(count / self.fps, read_s) < _least_s(claimed_s)
        if not (early or self._undecoded or suffix_of(self._counted) in _INDEXED):
            return
        from monitor.sources.video_end import read_packets  # loads PyAV, only for files that end early

        packets = read_packets(self._counted)
        missing = packets is not None and packets.exact and not packets.complete
        if missing or (early and (packets is None or not packets.complete or read_s < _least_s(packets.shown_s))):
            raise CaptureError(
                f"{self._label} ends after {read_s:.1f} of {claimed_s:.1f} s: it is damaged or cut off; copy it again"
            )
        read = count - self._undecoded
        if packets is not None and self._undecoded and read < (1 - _UNDECODED_SHARE) * packets.shown:
            raise CaptureError(
                f"{packets.shown - read} of the {packets.shown} frames of {self._label} cannot be decoded: it is "
                "damaged; copy it again"
            )

    def retrieve(self) -> Image | None:
        """The last grabbed frame, as a new array; None if it cannot be decoded."""
        return retrieved(self._capture) if self._decoded else None

    def retrieve_into(self, memory: Image) -> Image | None:
        """See Reader.retrieve_into."""
        return retrieved(self._capture, memory) if self._decoded else None

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def _least_s(length_s: float) -> float:
    """Seconds that must be read of a video of this length."""
    return min((1 - _MISSING_SHARE) * length_s, length_s - _MISSING_S)


def suffix_of(path: Path | str) -> str:
    """The suffix of a path or URL, in lower case: ``.mp4``."""
    return PurePosixPath(re.split("[?#]", path)[0] if isinstance(path, str) else path).suffix.lower()
