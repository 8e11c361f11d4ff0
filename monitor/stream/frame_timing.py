"""When a capture thread acts: which frames are analysed, when one is due, what is a gap, when to try a camera again."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable


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


class Backoff:
    """Delays that double from ``min_s`` to ``max_s``, both seconds, each with up to ``jitter`` of it added."""

    def __init__(self, min_s: float, max_s: float, jitter: float, rng: random.Random) -> None:
        self._min_s = min_s
        self._max_s = max_s
        self._jitter = jitter
        self._rng = rng
        self._base_s = min_s

    def next(self) -> float:
        """Seconds to wait before the next attempt, in min_s..max_s."""
        base_s = min(self._base_s, self._max_s / (1.0 + self._jitter))
        self._base_s = min(2.0 * self._base_s, self._max_s)
        return max(self._min_s, base_s * (1.0 + self._jitter * self._rng.random()))

    def reset(self) -> None:
        """Start small again."""
        self._base_s = self._min_s


class Pace:
    """Holds a file's frames back until they are due by the clock; ``speed`` None holds nothing back.

    behind_s: how late the last frame was asked for, seconds, since whoever takes them is too slow; 0 with speed None
    """

    def __init__(self, speed: float | None, clock: Callable[[], float], stop: threading.Event) -> None:
        self._speed = speed
        self._clock = clock
        self._stop = stop
        self._origin: tuple[float, float] | None = None  # (stream time, clock), both seconds
        self.behind_s = 0.0

    def wait_for(self, time_s: float, *, skip: bool) -> bool:
        """Wait until a frame of this stream time is due, or not at all if ``skip``; False if stopped meanwhile.

        A gap is skipped rather than sat through: nobody wants to watch nothing, and a broken time stamp may be
        hours off.
        """
        if self._speed is None:
            return not self._stop.is_set()
        if self._origin is None or skip:
            self._origin = (time_s, self._clock())
        stream_s, clock_s = self._origin
        wait_s = clock_s + (time_s - stream_s) / self._speed - self._clock()
        self.behind_s = max(0.0, -wait_s)
        return not (self._stop.wait(wait_s) if wait_s > 0.0 else self._stop.is_set())
