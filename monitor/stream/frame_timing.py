"""Decides which frames of a stream are analysed, and what is a gap. Pure: times are the stream's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Sampler:
    """Chooses ``fps`` frames per second of stream time, or all frames for 0. The same times give the same frames.

    Frames are due at 0, 1/fps, 2/fps... after the first frame. For each due time it takes the first frame at or after
    it. A frame may also be up to a twentieth of a period early, because media times are rounded. After a late frame the
    next one may follow early, so that jitter costs no frames. The mean rate never exceeds ``fps``.
    """

    def __init__(self, fps: float) -> None:
        self._least_s = self._period_s = 1.0 / fps if fps > 0.0 else 0.0
        self._next_s: float | None = None

    def slow(self, fps: float | None) -> None:
        """Choose at most this many frames per second from now on, > 0; None: as many as at first."""
        self._period_s = self._least_s if fps is None else max(self._least_s, 1.0 / fps)

    @property
    def due_s(self) -> float:
        """Stream time from which a frame is analysed; minus infinity if the next frame is analysed at any time."""
        return -math.inf if self._next_s is None else self._next_s - 0.05 * self._period_s

    def due(self, time_s: float) -> bool:
        """Whether a frame at this time is analysed."""
        return time_s >= self.due_s

    def take(self, time_s: float) -> None:
        """Record that a frame of this time is analysed."""
        scheduled_s = time_s if self._next_s is None else self._next_s
        self._next_s = max(scheduled_s + self._period_s, time_s - self._period_s)

    def reset(self) -> None:
        """Make the next frame due, whenever it arrives."""
        self._next_s = None


class GapRule:
    """Distinguishes a gap in a stream from a slow stream.

    A gap is longer than ``gap_s`` seconds, longer than three frames at the nominal rate, and longer than three times
    the shorter of the last two steps. So a camera that drops to one frame per second counts as slow from the third such
    frame on.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._beat = _Beat()

    def is_gap(self, time_s: float, fps: float, earlier_s: Sequence[float] = ()) -> bool:
        """Whether a frame at this time comes after a gap. earlier_s: times of frames before it, not recorded yet."""
        beat = self._beat
        for each in earlier_s:
            beat = beat.after(each)
        return time_s - beat.last_s > max(self._gap_s, 3.0 / fps, 3.0 * min(beat.steps))

    def reached(self, time_s: float) -> None:
        """Record that a frame of this time has arrived, after a gap or not."""
        self._beat = self._beat.after(time_s)


class _Beat(NamedTuple):
    """Time of the last frame, and the last two steps, seconds."""

    last_s: float = 0.0
    steps: tuple[float, float] = (0.0, 0.0)

    def after(self, time_s: float) -> _Beat:
        return _Beat(time_s, (self.steps[1], time_s - self.last_s))
