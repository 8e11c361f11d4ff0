"""Which frames of a stream are analysed, and what is a gap in it. Pure: times are the stream's own."""

from __future__ import annotations

import math


class Sampler:
    """Chooses frames at ``fps`` a second of stream time, 0 for all; the same frames for the same times.

    Frames are due at 0, 1/fps, 2/fps... after the first, each the first frame at or after its time, or up to a
    twentieth of a period before it (media times are rounded). One that comes late may be followed early by the next,
    so that jitter costs no frames; the mean rate never passes ``fps``.
    """

    def __init__(self, fps: float) -> None:
        self._period_s = 1.0 / fps if fps > 0.0 else 0.0
        self._next_s: float | None = None

    @property
    def due_s(self) -> float:
        """Stream time from which on a frame is to be analysed; minus infinity for whenever it comes."""
        return -math.inf if self._next_s is None else self._next_s - 0.05 * self._period_s

    def due(self, time_s: float) -> bool:
        """Is a frame at this time to be analysed?"""
        return time_s >= self.due_s

    def take(self, time_s: float) -> None:
        """A frame of this time was analysed."""
        scheduled_s = time_s if self._next_s is None else self._next_s
        self._next_s = max(scheduled_s + self._period_s, time_s - self._period_s)

    def reset(self) -> None:
        """The next frame is due whenever it comes."""
        self._next_s = None


class GapRule:
    """Tells a hole in a stream from a stream that is slow.

    A gap is longer than ``gap_s`` seconds, than three frames' time at the nominal rate, and than three times the
    shorter of the last two steps: a camera that falls to a frame a second is a slow one from the third such frame on.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._last_s = 0.0
        self._steps = (0.0, 0.0)

    def is_gap(self, time_s: float, fps: float) -> bool:
        """Does a frame at this time come after a gap?"""
        return time_s - self._last_s > max(self._gap_s, 3.0 / fps, 3.0 * min(self._steps))

    def reached(self, time_s: float) -> None:
        """A frame of this time has come, after a gap or not."""
        self._steps = (self._steps[1], time_s - self._last_s)
        self._last_s = time_s
