"""Counts the time in which nobody watched a live camera: no frame of it was judged, whatever the reason. Pure."""

from __future__ import annotations

BLIND_AFTER_S = 3.0
"""Seconds without a judged frame from which on a camera counts as blind, from the last judged frame on. A camera that
gives one frame in two seconds is watched."""


class BlindTime:
    """Follows one camera, by the clock of the machine: a camera that gives nothing has no other."""

    def __init__(self) -> None:
        self.blind_s = 0.0
        """Seconds without a judged frame so far; pauses of less than ``BLIND_AFTER_S`` are not counted."""
        self._judged_at: float | None = None  # of the last judged frame, or when the camera was to be watched
        self._counted_to = 0.0

    def begin(self, now: float) -> None:
        """The camera is to be watched from ``now`` on, time.monotonic(), seconds. Later calls change nothing."""
        if self._judged_at is None:
            self._judged_at = self._counted_to = now

    def judged(self, at: float) -> None:
        """A frame was judged at this time, seconds on the same clock."""
        self.begin(at)
        self.look(at)
        self._judged_at = self._counted_to = at

    def look(self, now: float) -> None:
        """Count what is over at ``now``, seconds on the same clock."""
        if self._judged_at is not None and now - self._judged_at > BLIND_AFTER_S:
            self.blind_s += max(0.0, now - self._counted_to)
            self._counted_to = max(now, self._counted_to)
