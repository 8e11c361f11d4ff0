"""Decides how much of the analysis is given up while the machine cannot keep up with all live cameras. Pure.

Without it, a machine at its limit collapses: it decodes frames that are then dropped. So less is asked for before
frames are dropped: first fewer analysed frames, then fewer decoded ones. All cameras give up the same, but a camera
with an open event keeps more.

It steps down when the load is too high for a moment, and up when there has been room for a while. A step up that was
too much makes it wait twice as long before the next one. So it does not swing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relief:
    """What a live camera gives up.

    rate     share of the frames per second that would be analysed, above 0, at most 1
    decoded  share of its frames that are decoded, if the stream allows it, see ``Reader.spare``
    """

    rate: float = 1.0
    decoded: float = 1.0

    @property
    def said(self) -> str:
        """What is given up, in words; "" if nothing is."""
        if self.decoded < 1.0:
            return f"fewer frames are decoded and analysed: {_BUSY}"
        return f"fewer frames are analysed: {_BUSY}" if self.rate < 1.0 else ""


_BUSY = "this machine is too busy; watch fewer cameras, lower analysis_fps or use a faster device"

# Decoding takes about half of all. From 0.7 on, decoding less saves more than analysing less.
LEVELS = tuple(
    Relief(rate, decoded)
    for rate, decoded in (
        *((1.0, 1.0), (0.85, 1.0), (0.7, 1.0), (0.7, 0.85), (0.7, 0.75), (0.7, 0.65), (0.7, 0.55)),
        *((0.6, 0.5), (0.5, 0.45), (0.4, 0.4), (0.35, 0.3), (0.3, 0.25), (0.2, 0.2), (0.2, 0.1)),
    )
)
"""What is given up at each level, from nothing on."""
LEAST_FPS = 2.0
"""Frames per second to which the rate falls at most: ``motion`` cannot follow anything below 1.7."""
KEPT_BY_EVENTS = 2
"""Levels by which a camera with an open event gives up less."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured of the live cameras since the last measurement.

    arrived   frames put into the queue
    dropped   frames dropped from it
    waited_s  mean time from reading a frame to taking it out of the queue, seconds; 0 if none was taken
    scoring   share of the time in which the inference thread was at work
    idle      share of the time in which a decoder had nothing to do, mean over all; None if unknown
    """

    arrived: int = 0
    dropped: int = 0
    waited_s: float = 0.0
    scoring: float = 0.0
    idle: float | None = None

    @property
    def too_high(self) -> bool:
        """Whether less must be asked for."""
        return self.dropped > 0 or self.waited_s > 0.2 or (self.idle is not None and self.idle < 0.1)

    @property
    def far_too_high(self) -> bool:
        """Whether much less must be asked for."""
        return self.dropped > 0.1 * self.arrived or (self.idle is not None and self.idle < 0.03)

    @property
    def low(self) -> bool:
        """Whether there is room for more."""
        busy = self.dropped > 0 or self.waited_s > 0.08 or self.scoring > 0.8
        return not busy and (self.idle is None or self.idle > 0.4)


FIRST_PATIENCE_S, MOST_PATIENCE_S = 4.0, 120.0
"""Seconds of room before the first step up, and before one after many that were too much."""
_HELD_S = 20.0  # a step up after which the load stays right for this long was not too much
_SETTLES_S = 2.0  # what a step changes shows after this time


class LoadControl:
    """Follows the load. Call ``update`` about once per second."""

    def __init__(self) -> None:
        self.level = 0
        """The present level, an index of ``LEVELS``."""
        self._patience_s = FIRST_PATIENCE_S
        self._stepped_s = -_SETTLES_S  # time of the last step
        self._raised_s: float | None = None  # time of the last step up that may still prove to be too much
        self._low_since_s: float | None = None
        self._high_in_a_row = 0

    def update(self, now_s: float, load: Load) -> int:
        """Take a measurement at ``now_s``, seconds, increasing. Returns the new level."""
        self._high_in_a_row = self._high_in_a_row + 1 if load.too_high else 0
        if not load.low:
            self._low_since_s = None
        elif self._low_since_s is None:
            self._low_since_s = now_s
        if self._raised_s is not None and now_s - self._raised_s >= _HELD_S:
            self._raised_s, self._patience_s = None, max(FIRST_PATIENCE_S, self._patience_s / 2)
        if now_s - self._stepped_s < _SETTLES_S:
            return self.level
        if self._high_in_a_row >= 2 or (load.far_too_high and load.dropped):
            self._step(now_s, 2 if load.far_too_high else 1)
            if self._raised_s is not None:
                self._raised_s, self._patience_s = None, min(2 * self._patience_s, MOST_PATIENCE_S)
        elif self.level and self._low_since_s is not None and now_s - self._low_since_s >= self._patience_s:
            self._step(now_s, -1)
            self._raised_s = now_s
        return self.level

    def _step(self, now_s: float, by: int) -> None:
        self.level = min(max(self.level + by, 0), len(LEVELS) - 1)
        self._stepped_s, self._low_since_s, self._high_in_a_row = now_s, None, 0
