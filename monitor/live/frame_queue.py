"""The bounded queue between capture threads and the inference worker.

There is one short deque per camera, and one lock. A live camera's deque drops its oldest frame if it is full. It makes
the capture thread wait only in a burst of frames that come sooner than they were taken. A file's deque makes its reader
wait and loses nothing. The worker takes a batch from all cameras in turn (round robin), so that one fast camera cannot
starve another.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pydantic import model_validator

from monitor.settings import Settings
from monitor.types import Frame

_LONGEST_AGE_S = 3600.0


class QueueSettings(Settings):
    """Bounds of the frame queue.

    capacity         queued frames per camera, at most
    max_frame_age_s  a live frame older than this is dropped and counted
    max_batch        frames scored at once, all cameras together
    """

    capacity: int = 4
    max_frame_age_s: float = 2.0
    max_batch: int = 16

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, most in (("capacity", 1000), ("max_batch", 1000)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be at least 1 and at most {most}, got {getattr(self, name)}")
        if not 0 < self.max_frame_age_s <= _LONGEST_AGE_S:
            raise ValueError(f"max_frame_age_s must be above 0 and at most {_LONGEST_AGE_S:g} s")
        return self


@dataclass(frozen=True, slots=True)
class QueueCounters:
    """Frames of one camera since the start: put = taken + dropped_full + dropped_stale + waiting."""

    put: int = 0
    taken: int = 0
    dropped_full: int = 0
    dropped_stale: int = 0
    waiting: int = 0

    @property
    def dropped(self) -> int:
        """Frames that were never analysed, for either reason."""
        return self.dropped_full + self.dropped_stale


class _Lane:
    """One camera's deque and its counters."""

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self.frames: deque[Frame] = deque()
        self.finished = False
        self.put = self.taken = self.dropped_full = self.dropped_stale = 0


class Inlet:
    """The input of one camera. It has no effect after the camera has been unregistered, even if its name is reused."""

    def __init__(self, queue: FrameQueue, lane: _Lane) -> None:
        self._queue = queue
        self._lane = lane

    def put(self, frame: Frame, *, stop: threading.Event, wait_s: float = 0.0) -> bool:
        """See FrameQueue.put."""
        return self._queue._put(self._lane, frame, stop, wait_s)

    def finish(self, camera: str) -> None:  # noqa: ARG002 - the inlet knows its lane
        """See FrameQueue.finish."""
        self._queue._finish(self._lane)


class FrameQueue:
    """Bounded, fair per camera, closable.

    capacity         queued frames per camera, at most; >= 1
    max_frame_age_s  a live frame that is older than this when its turn comes is dropped and counted
    """

    def __init__(
        self, capacity: int = 4, max_frame_age_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 frame, got {capacity}")
        self.capacity = capacity
        self.max_frame_age_s = max_frame_age_s
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._next = 0  # the lane whose turn it is
        self._waited_s, self._waited_for = 0.0, 0
        self._closed = False
        self._keep_open = False
        self._changed = threading.Condition()

    def register(self, camera: str, *, live: bool) -> Inlet:
        """Register a camera before its first frame. Returns its input. Raises ValueError if the name is taken."""
        with self._changed:
            if camera in self._lanes:
                raise ValueError(f"camera '{camera}' is registered already")
            lane = self._lanes[camera] = _Lane(live=live)
        return Inlet(self, lane)

    def keep_open(self, keep: bool) -> None:
        """While kept open, the queue does not end even if every camera has finished: other cameras will be added."""
        with self._changed:
            self._keep_open = keep
            self._changed.notify_all()

    def unregister(self, camera: str) -> None:
        """Remove a camera and its waiting frames. Frames that it puts later are refused."""
        with self._changed:
            self._lanes.pop(camera, None)
            self._changed.notify_all()

    def put(self, frame: Frame, *, stop: threading.Event | None = None, wait_s: float = 0.0) -> bool:
        """Add a frame. Returns False if the queue is closed, the camera was unregistered, or ``stop`` is set.

        wait_s: how long a live camera's frame waits for room before the oldest one is dropped, seconds
        """
        return self._put(self._lanes.get(frame.camera), frame, stop, wait_s)

    def _put(self, lane: _Lane | None, frame: Frame, stop: threading.Event | None, wait_s: float) -> bool:
        with self._changed:
            if lane is None or self._lanes.get(frame.camera) is not lane or (stop is not None and stop.is_set()):
                return False
            if not lane.live or wait_s > 0:
                until = self._clock() + wait_s if lane.live else math.inf
                while len(lane.frames) >= self.capacity and not self._closed and self._clock() < until:
                    if self._lanes.get(frame.camera) is not lane:
                        return False
                    if stop is not None and stop.is_set():
                        return False
                    # The stop event cannot wake this condition, so check it a few times per second.
                    self._changed.wait(min(0.2, until - self._clock()))
            if self._closed:
                return False
            if len(lane.frames) >= self.capacity:
                lane.frames.popleft()
                lane.dropped_full += 1
            lane.frames.append(frame)
            lane.put += 1
            self._changed.notify_all()
            return True

    def get_batch(self, max_frames: int, timeout_s: float | None = None) -> list[Frame] | None:
        """Up to ``max_frames`` frames, one per camera in turn, each camera's oldest first.

        Waits only for the first frame. Returns [] after a timeout. Returns None if no more frames can come: the queue
        is closed and empty, or every camera has finished and its last frame was taken.
        """
        deadline = None if timeout_s is None else self._clock() + timeout_s
        with self._changed:
            while True:
                self._drop_stale()
                if any(lane.frames for lane in self._lanes.values()):
                    return self._take(max_frames)
                finished = all(lane.finished for lane in self._lanes.values()) and not self._keep_open
                if self._closed or (self._lanes and finished):
                    return None
                left = None if deadline is None else deadline - self._clock()
                if left is not None and left <= 0:
                    return []
                self._changed.wait(left)

    def _drop_stale(self) -> None:
        oldest_allowed = self._clock() - self.max_frame_age_s
        for lane in self._lanes.values():
            while lane.live and lane.frames and lane.frames[0].captured_at < oldest_allowed:
                lane.frames.popleft()
                lane.dropped_stale += 1

    def _take(self, max_frames: int) -> list[Frame]:
        lanes = list(self._lanes.values())
        batch: list[Frame] = []
        empty_in_a_row = 0
        while len(batch) < max_frames and empty_in_a_row < len(lanes):
            lane = lanes[self._next % len(lanes)]
            self._next += 1
            if lane.frames:
                frame = lane.frames.popleft()
                batch.append(frame)
                lane.taken += 1
                if lane.live:
                    self._waited_s += self._clock() - frame.captured_at
                    self._waited_for += 1
                empty_in_a_row = 0
            else:
                empty_in_a_row += 1
        self._changed.notify_all()
        return batch

    def finish(self, camera: str) -> None:
        """Declare that a camera will put no more frames. Its waiting frames are still given out."""
        self._finish(self._lanes[camera])

    def _finish(self, lane: _Lane) -> None:
        with self._changed:
            lane.finished = True
            self._changed.notify_all()

    def close(self, *, discard: bool = False) -> None:
        """Close the queue: ``put`` returns False. ``get_batch`` returns the remaining frames, none if ``discard``."""
        with self._changed:
            self._closed = True
            if discard:
                for lane in self._lanes.values():
                    lane.frames.clear()
            self._changed.notify_all()

    def depth(self) -> int:
        """Number of waiting frames, all cameras together."""
        with self._changed:
            return sum(len(lane.frames) for lane in self._lanes.values())

    def waited(self) -> tuple[float, int]:
        """Time from reading a live frame to taking it, seconds, all frames so far together; and how many."""
        with self._changed:
            return self._waited_s, self._waited_for

    def counters(self, camera: str) -> QueueCounters:
        """The camera's counters, as one consistent snapshot."""
        with self._changed:
            lane = self._lanes[camera]
            return QueueCounters(lane.put, lane.taken, lane.dropped_full, lane.dropped_stale, len(lane.frames))
