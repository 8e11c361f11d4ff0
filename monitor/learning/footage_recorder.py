"""Records what a camera shows while it learns, in a thread of its own: the main loop never waits for the disk."""

from __future__ import annotations

import queue
import shutil
from pathlib import Path

from monitor.errors import SourceError
from monitor.learning.footage import FootageSource, FootageWriter, is_footage, recorded_s
from monitor.threads.stage import Stage, join_all
from monitor.types import Frame

MAX_PICTURES = 40_000
"""Pictures in one recording: about a gigabyte. In a longer one, minutes spread over it are recorded."""
_PART_S = 60.0
_WAITING = 64  # frames
_JOIN_S = 5.0


class FootageRecorder:
    """Takes a learning camera's frames as the rules of capture chose them; those that are not scored are left out.

    folder      where to; what a live camera recorded there before counts, a file is read anew
    label       which camera, for people
    duration_s  how much of the stream is wanted, seconds
    fps         pictures recorded per second, the rate of analysis
    live        True: a frame is dropped if the disk cannot keep up; False: the caller waits
    """

    def __init__(self, folder: Path, label: str, duration_s: float, *, fps: float, live: bool) -> None:
        self.folder = folder
        self.duration_s = duration_s
        self.dropped = 0
        self._label, self._live, self._fps = label, live, fps
        self._share = min(1.0, MAX_PICTURES / (duration_s * fps))
        if not live:
            shutil.rmtree(folder, ignore_errors=True)
        self.seen_s = recorded_s(folder) / self._share
        """Seconds of stream that were worth learning from, recorded or passed over."""
        self._last: tuple[int, float] | None = None
        self._stretch = 0
        self._frames: queue.Queue[tuple[int, Frame] | None] = queue.Queue(_WAITING)
        self._stage = Stage(f"recorder {label}", self._work, lambda _: None)
        self._stage.start()

    @property
    def error(self) -> str | None:
        """Why nothing more can be recorded, or None."""
        error = self._stage.error
        if error is None:
            return None
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"cannot record to {self.folder}: {what}"

    @property
    def done(self) -> bool:
        """True once enough has been seen."""
        return self.seen_s >= self.duration_s

    def take(self, frame: Frame) -> None:
        """Record a frame if it is wanted."""
        if not frame.health.scored or self.error is not None:
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
            self._stretch += 1  # what is recorded next does not continue what was recorded before
            return
        try:
            self._frames.put((self._stretch, frame), block=not self._live, timeout=_JOIN_S)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, as far as the disk takes it in a few seconds."""
        try:
            self._frames.put(None, timeout=_JOIN_S)
        except queue.Full:
            return
        join_all([self._stage], _JOIN_S)

    def _work(self) -> None:
        writer: FootageWriter | None = None
        size = (0, 0)
        stretch = 0
        while (taken := self._frames.get()) is not None:
            number, frame = taken
            own = (frame.image.shape[1], frame.image.shape[0])
            if writer is None or own != size:
                before = size if writer is not None else _size_of(self.folder)
                if before not in (None, own):  # what was recorded before cannot be learned from with it
                    shutil.rmtree(self.folder, ignore_errors=True)
                    self.seen_s = 0.0
                writer, size = FootageWriter(self.folder, self._label, own, self._fps), own
            elif number != stretch:
                writer.new_stretch()
            stretch = number
            writer.add(frame.time_s, frame.image)


def _size_of(footage: Path) -> tuple[int, int] | None:
    """The picture size of the camera that a recording was made of; None where there is none, or it does not say."""
    try:
        return FootageSource(footage).camera_size if is_footage(footage) else None
    except SourceError:
        return None
