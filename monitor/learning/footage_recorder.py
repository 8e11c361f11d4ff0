"""Records the frames of a camera that learns, in a thread of its own, because the disk may be slow."""

from __future__ import annotations

import errno
import queue
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from monitor.errors import SourceError
from monitor.learning.footage import FootageSource, FootageWriter, is_footage, recorded_s, remove_footage
from monitor.states import CameraState
from monitor.stream.picture_size import Size, same_shape
from monitor.threads.stage import Stage, join_all
from monitor.types import Frame, Image

MAX_PICTURES = 40_000
"""Most pictures in one recording: about a gigabyte. If there are more, only minutes spread evenly are recorded."""
_PART_S = 60.0
_WAITING = 64  # queued frames
_JOIN_S = 5.0
RETRY_S = 30.0
"""After a failure that may pass, nothing is recorded for this many seconds."""
_RESHAPED_AT_MOST = 3
"""So often a camera may change the shape of its pictures while it is recorded. Each time, the recording starts anew."""
_RESHAPED = "the shape of the pictures changes again and again, so nothing can be learned: set one size in the camera"
_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ETIMEDOUT", "ENOENT"),  # the disk
        *("EMFILE", "ENFILE", "ENOMEM", "EAGAIN"),  # the machine
    )
)


class FootageRecorder:
    """Takes a camera's analysed frames, and records those that are good enough to be scored.

    folder      folder of the recording. A recording of a live camera is continued; one of a file starts again
    label       the camera's source, for display
    duration_s  length of the stream to record, seconds
    fps         pictures recorded per second, equal to the analysis rate
    live        True: a frame is dropped if the disk is too slow, and a full disk is tried again later; False: the
                caller waits, and the first failure is the end, because the frames of a file would be missing
    """

    def __init__(
        self,
        folder: Path,
        label: str,
        duration_s: float,
        *,
        fps: float,
        live: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.duration_s = duration_s
        self.dropped = 0
        self._label, self._live, self._fps = label, live, fps
        self._share = min(1.0, MAX_PICTURES / (duration_s * fps))
        if not live:
            remove_footage(folder)
        self.seen_s = self._recorded_s()
        """Seconds of stream that were good enough to learn from, recorded or left out."""
        self.problem = ""
        """Why nothing is recorded at present, although it is tried again; "" if all is well."""
        self.left_out: Counter[CameraState] = Counter()
        """Frames that were not recorded because they were not scored, by state."""
        self._clock = clock
        self._retry_at = -1.0
        self._last: tuple[int, float] | None = None
        self._stretch = 0
        self._frames: queue.Queue[tuple[int, Frame] | None] = queue.Queue(_WAITING)
        self._stage = Stage(f"recorder {label}", self._work, lambda _: None)
        self._stage.start()

    @property
    def error(self) -> str | None:
        """Why nothing more can be recorded, or None."""
        error = self._stage.error
        return None if error is None else self._sentence(error)

    @property
    def done(self) -> bool:
        """True once ``seen_s`` has reached ``duration_s``."""
        return self.seen_s >= self.duration_s

    def take(self, frame: Frame) -> None:
        """Record a frame if it is wanted."""
        if not frame.health.scored:
            self.left_out[frame.health.state] += 1
        if not frame.health.scored or self.error is not None or self._clock() < self._retry_at:
            self._last = None
            return
        if self._last is None or self._last[0] != frame.segment:
            self._stretch += 1
        else:
            self.seen_s += frame.time_s - self._last[1]
        self._last = (frame.segment, frame.time_s)
        part = int(self.seen_s // _PART_S)
        wanted = int((part + 1) * self._share) > int(part * self._share)
        if not wanted:
            self._stretch += 1  # the next recorded picture does not continue the previous one
            return
        try:
            self._frames.put((self._stretch, frame), block=not self._live, timeout=_JOIN_S)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write the waiting frames, or as many as the disk accepts in a few seconds."""
        try:
            self._frames.put(None, timeout=_JOIN_S)
        except queue.Full:
            return
        join_all([self._stage], _JOIN_S)

    def _work(self) -> None:
        writer: FootageWriter | None = None
        size = (0, 0)
        stretch = reshaped = 0
        while (taken := self._frames.get()) is not None:
            number, frame = taken
            if self._clock() < self._retry_at:
                continue  # it was taken before the failure
            own = (frame.image.shape[1], frame.image.shape[0])
            try:
                before = size if writer is not None else _size_of(self.folder)
                scaled = before is not None and same_shape(before, own)
                if writer is None or not scaled:
                    if before is not None and not scaled:  # pictures of two shapes cannot be learned from together
                        reshaped += 1
                        if reshaped > _RESHAPED_AT_MOST:
                            self.problem = _RESHAPED
                            continue
                        remove_footage(self.folder)
                        self.seen_s = 0.0
                    size = before if before is not None and scaled else own
                    writer = FootageWriter(self.folder, self._label, size, self._fps)
                elif number != stretch:
                    writer.new_stretch()
                stretch = number
                writer.add(frame.time_s, frame.image if own == size else _resized(frame.image, size))
            except OSError as error:
                if not self._live or error.errno not in _PASSING:
                    raise
                writer = None
                self.problem = self._sentence(error)
                self._retry_at = self._clock() + RETRY_S
                self.seen_s = self._recorded_s()
            else:
                self.problem = _RESHAPED if reshaped > _RESHAPED_AT_MOST else ""

    def _recorded_s(self) -> float:
        try:
            return recorded_s(self.folder) / self._share
        except (OSError, OverflowError):  # it is not readable: the first picture will say so
            return 0.0

    def _sentence(self, error: Exception) -> str:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"cannot record to {self.folder}: {what}"


def _resized(image: Image, size: Size) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _size_of(footage: Path) -> tuple[int, int] | None:
    """The size of the camera's pictures in a recording; None if there is no recording or it cannot be read."""
    try:
        return FootageSource(footage).camera_size if is_footage(footage) else None
    except SourceError:
        return None
