"""How long a capture thread waits: until a file's next frame is due, and before it opens a lost camera again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

_KEPT = 0.98  # share of a burst's time that is left at the next frame
_LONGEST_BURST_S = 60.0
_LEAST_EARLY_S = 0.1  # less is jitter


class Backoff:
    """Delays that double from ``min_s`` to ``max_s`` seconds. Up to ``jitter`` of each delay is added at random."""

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
        delay_s = max(self._min_s, base_s * (1.0 + self._jitter * self._rng.random()))
        return min(delay_s, threading.TIMEOUT_MAX)

    def ease(self, most_s: float) -> None:
        """Go on with a delay of at most ``most_s`` seconds, if that is longer than the shortest."""
        self._base_s = max(self._min_s, min(self._base_s, most_s))

    def reset(self) -> None:
        """Start again with the shortest delay."""
        self._base_s = self._min_s


class Pace:
    """Delays a file's frames until they are due by the clock. With ``speed`` None nothing is delayed.

    behind_s: how late the last frame was requested, seconds, because the next stage is too slow; 0 with speed None
    """

    def __init__(self, speed: float | None, clock: Callable[[], float], stop: threading.Event) -> None:
        self._speed = speed
        self._clock = clock
        self._stop = stop
        self._origin: tuple[float, float] | None = None  # (stream time, clock), both seconds
        self.behind_s = 0.0

    def wait_for(self, time_s: float, *, skip: bool) -> bool:
        """Wait until a frame of this stream time is due; with ``skip``, do not wait. Returns False if stopped.

        A gap is skipped: there is nothing to watch in it, and a broken time stamp may be wrong by hours.
        """
        if self._speed is None:
            return not self._stop.is_set()
        if self._origin is None or skip:
            self._origin = (time_s, self._clock())
        stream_s, clock_s = self._origin
        wait_s = clock_s + (time_s - stream_s) / self._speed - self._clock()
        self.behind_s = max(0.0, -wait_s)
        wait_s = min(wait_s, threading.TIMEOUT_MAX)  # a longer wait would raise OverflowError
        return not (self._stop.wait(wait_s) if wait_s > 0.0 else self._stop.is_set())


class Bursts:
    """How long the capture thread of a live camera may wait for room in the queue, although cameras never wait.

    Frames of a burst come sooner than they were taken. If they wait now, nothing is late: until the next burst, nothing
    comes anyway. So a burst longer than the queue loses no frames. A camera that is merely fast gets no time.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None  # (stream time, clock) of the last frame, seconds
        self._early_s = 0.0

    def came(self, time_s: float, at: float) -> float:
        """A frame of this stream time came ``at`` this time. Returns how long it may wait, seconds."""
        if self._last is not None:
            early_s = (time_s - self._last[0]) - (at - self._last[1])
            # A clock that runs a little fast must not add up.
            self._early_s = min(max(_KEPT * self._early_s + early_s, 0.0), _LONGEST_BURST_S)
        self._last = (time_s, at)
        return self._early_s if self._early_s > _LEAST_EARLY_S else 0.0
