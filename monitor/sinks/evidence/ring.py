"""Keeps the last seconds of one camera as JPEG frames, in bounded memory."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

log = logging.getLogger(__name__)

OVERHEAD_BYTES = 256
"""Memory of a frame in addition to its JPEG bytes, rounded up."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame as JPEG. time_s: on the stream's clock, seconds."""

    time_s: float
    jpeg: bytes


class FrameRing:
    """Keeps the frames of the last ``keep_s`` seconds, as many of the latest as fit in ``budget_bytes``."""

    def __init__(self, camera: str, budget_bytes: int, keep_s: float) -> None:
        self.camera = camera
        self.budget_bytes = budget_bytes
        self.keep_s = keep_s
        self.bytes = 0
        """Memory in use, bytes; never above the budget."""
        self._frames: deque[StoredFrame] = deque()
        self._warned = False

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, time_s: float, jpeg: bytes) -> None:
        """Add the next frame. The oldest frames are dropped if there is no room."""
        while self._frames and self._frames[0].time_s < time_s - self.keep_s:
            self._drop_oldest()
        size = len(jpeg) + OVERHEAD_BYTES
        while self._frames and self.bytes + size > self.budget_bytes:
            self._warn_once(time_s)
            self._drop_oldest()
        if size <= self.budget_bytes:
            self._frames.append(StoredFrame(time_s, jpeg))
            self.bytes += size
        else:
            self._warn_once(time_s)

    def since(self, time_s: float) -> list[StoredFrame]:
        """Return the frames from ``time_s`` on, oldest first."""
        return [frame for frame in self._frames if frame.time_s >= time_s]

    def clear(self) -> None:
        """Drop all frames."""
        self._frames.clear()
        self.bytes = 0

    def _drop_oldest(self) -> None:
        self.bytes -= len(self._frames.popleft().jpeg) + OVERHEAD_BYTES

    def _warn_once(self, time_s: float) -> None:
        if self._warned:
            return
        self._warned = True
        held_s = time_s - self._frames[0].time_s if self._frames else 0.0
        log.warning(
            "%s: evidence.memory_mb = %g holds only %.1f s of frames instead of %.1f s, so clips begin later: "
            "increase it, or reduce evidence.width or evidence.quality",
            self.camera,
            self.budget_bytes / 1e6,
            held_s,
            self.keep_s,
        )
