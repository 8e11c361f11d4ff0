"""The last seconds of one camera as JPEG frames, in bounded memory."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

log = logging.getLogger(__name__)

OVERHEAD_BYTES = 256
"""What Python needs for a frame beside its JPEG bytes, rounded up."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame on the stream's clock (seconds) as a JPEG file's content."""

    time_s: float
    jpeg: bytes


class FrameRing:
    """Keeps the frames of the last ``keep_s`` seconds, and of these what fits into ``budget_bytes``."""

    def __init__(self, camera: str, budget_bytes: int, keep_s: float) -> None:
        self.camera = camera
        self.budget_bytes = budget_bytes
        self.keep_s = keep_s
        self.bytes = 0
        """Memory in use, never above the budget."""
        self._frames: deque[StoredFrame] = deque()
        self._told = False

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, time_s: float, jpeg: bytes) -> None:
        """Take the next frame; the oldest make room."""
        while self._frames and self._frames[0].time_s < time_s - self.keep_s:
            self._drop_oldest()
        size = len(jpeg) + OVERHEAD_BYTES
        while self._frames and self.bytes + size > self.budget_bytes:
            self._tell(time_s)
            self._drop_oldest()
        if size <= self.budget_bytes:
            self._frames.append(StoredFrame(time_s, jpeg))
            self.bytes += size
        else:
            self._tell(time_s)

    def since(self, time_s: float) -> list[StoredFrame]:
        """Frames from ``time_s`` on, oldest first."""
        return [frame for frame in self._frames if frame.time_s >= time_s]

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self.bytes = 0

    def _drop_oldest(self) -> None:
        self.bytes -= len(self._frames.popleft().jpeg) + OVERHEAD_BYTES

    def _tell(self, time_s: float) -> None:
        if self._told:
            return
        self._told = True
        held_s = time_s - self._frames[0].time_s if self._frames else 0.0
        log.warning(
            "%s: evidence.memory_mb = %g holds %.1f s of frames where %.1f s are wanted: clips begin later; "
            "raise it, or lower evidence.width or evidence.quality",
            self.camera,
            self.budget_bytes / 1e6,
            held_s,
            self.keep_s,
        )
