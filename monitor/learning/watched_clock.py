"""The time for which a camera was watched, over all runs, and what of it is in quarantine."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

LONGEST_STEP_S = 2.0
"""A longer pause between two frames is not time that was watched, seconds."""
MARGIN_S = 5.0
"""Seconds before and after an alarm that are in quarantine, too."""
SETTLED_S = 15.0
"""After this many seconds it is known whether a frame belongs to an alarm."""
_KEPT = 64


@dataclass(eq=False)
class WatchedClock:
    """Counts the seconds that were watched. Only steps of a stream's own clock count: no wall clock, no pauses."""

    watched_s: float = 0.0
    _segment: int | None = None
    _last_s: float = -math.inf
    _offsets: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def take(self, segment: int, time_s: float) -> tuple[bool, float]:
        """Take the next frame. Returns whether it follows a gap, and the seconds since the frame before, 0 after a gap.

        A step that is too long, or backwards, is a gap.
        """
        step_s = time_s - self._last_s
        fresh = segment != self._segment or not 0 < step_s <= LONGEST_STEP_S
        self._segment, self._last_s = segment, time_s
        if not fresh:
            self.watched_s += step_s
            return False, step_s
        self._offsets.append((time_s, self.watched_s - time_s))
        return True, 0.0

    def at(self, time_s: float) -> float:
        """The watched time of a moment on the stream's clock, at most the present one."""
        for first_s, offset in reversed(self._offsets):
            if time_s >= first_s:
                return min(time_s + offset, self.watched_s)
        first_s, offset = self._offsets[0] if self._offsets else (time_s, self.watched_s - time_s)
        return min(first_s + offset, self.watched_s)


class Quarantine:
    """Which moments belong to an alarm that nobody has judged, with a margin. All times are watched seconds."""

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._open_s: float | None = None

    @property
    def open(self) -> bool:
        """True while an alarm lasts."""
        return self._open_s is not None

    def began(self, at_s: float) -> None:
        """An alarm has begun."""
        self._open_s = at_s

    def ended(self, at_s: float) -> None:
        """The alarm has ended."""
        if self._open_s is not None:
            self._spans.append((self._open_s, at_s))
            self._open_s = None

    def holds(self, at_s: float) -> bool:
        """Whether a moment is in quarantine."""
        if self._open_s is not None and at_s >= self._open_s - MARGIN_S:
            return True
        return any(start - MARGIN_S <= at_s <= end + MARGIN_S for start, end in self._spans)
