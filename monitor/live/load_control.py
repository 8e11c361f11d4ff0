"""Decides how much of the analysis is given up while the machine cannot keep up with all live cameras. Pure.

Without it, a machine at its limit collapses: it decodes frames that are then dropped. So less is asked for before
frames are dropped: first fewer analysed frames, then fewer decoded ones. All cameras give up the same, but a camera
with an open event keeps more.

It steps down when the load is too high for a moment, and up when there has been room for a while. A level that was too
much is tried again later, each time after twice the time. So it does not swing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relief:
    """What a live camera gives up.

    rate     share of the frames per second that would be analysed, above 0, at most 1
    decoded  share of its frames that are decoded, see ``Reader.spare``. If the stream does not allow that, so many
             fewer frames are analysed
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

# A camera of 1280x720 takes 114 ms of CPU per second: 52 to decode 25 frames, 12 to convert 10, and 50 to judge them.
# So decoding less, and judging what is left nearly at full rate, keeps most: half of the frames take about half of the
# time. To leave out less than a fifth gains little, because what is left holds the key frames, which take longest.
LEVELS = tuple(
    Relief(rate, decoded)
    for rate, decoded in (
        *((1.0, 1.0), (0.9, 1.0), (0.8, 1.0), (0.95, 0.8), (0.95, 0.7), (0.95, 0.6), (0.95, 0.52), (0.95, 0.45)),
        *((0.9, 0.4), (0.8, 0.35), (0.7, 0.3), (0.6, 0.25), (0.45, 0.2), (0.3, 0.15), (0.2, 0.1)),
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
        return not busy and (self.idle is None or self.idle > 0.6)


PATIENCE_S = 4.0
"""Seconds of room before a step up."""
FIRST_WAIT_S, MOST_WAIT_S = 16.0, 600.0
"""Seconds until a level that was too much is tried again: they double each time from the first to the last."""
_HELD_S = 20.0  # a level at which the load stays right for this long is not too much
_SETTLES_S = 2.0  # what a step changes shows after this time


class LoadControl:
    """Follows the load. Call ``update`` about once per second."""

    def __init__(self) -> None:
        self.level = 0
        """The present level, an index of ``LEVELS``."""
        self._stepped_s = -_SETTLES_S  # time of the last step
        self._raised = False  # the last step was up, and may still prove to be too much
        self._low_since_s: float | None = None
        self._high_in_a_row = 0
        self._too_much: dict[int, tuple[float, float]] = {}  # level -> (when it is tried again, how long it waits then)

    def update(self, now_s: float, load: Load) -> int:
        """Take a measurement at ``now_s``, seconds, increasing. Returns the new level."""
        self._high_in_a_row = self._high_in_a_row + 1 if load.too_high else 0
        if not load.low:
            self._low_since_s = None
        elif self._low_since_s is None:
            self._low_since_s = now_s
        since_s = now_s - self._stepped_s
        if self._raised and since_s >= _HELD_S:
            self._raised = False
            self._too_much.pop(self.level, None)
        if since_s < _SETTLES_S:
            return self.level
        if self._high_in_a_row >= 2 or (load.far_too_high and load.dropped):
            self._step_down(now_s, load)
        elif self.level and self._low_since_s is not None and now_s - self._low_since_s >= PATIENCE_S:
            again_s, _ = self._too_much.get(self.level - 1, (now_s, 0.0))
            if now_s >= again_s:
                self._step_to(self.level - 1, now_s)
                self._raised = True
        return self.level

    def _step_down(self, now_s: float, load: Load) -> None:
        """Ask for less. After a step up that was too much, as much as before."""
        if self._raised:
            _, wait_s = self._too_much.get(self.level, (0.0, FIRST_WAIT_S / 2))
            wait_s = min(2.0 * wait_s, MOST_WAIT_S)
            self._too_much[self.level] = (now_s + wait_s, wait_s)
        twice = load.far_too_high and not self._raised
        self._step_to(min(self.level + (2 if twice else 1), len(LEVELS) - 1), now_s)
        self._raised = False

    def _step_to(self, level: int, now_s: float) -> None:
        self.level = level
        self._stepped_s, self._low_since_s, self._high_in_a_row = now_s, None, 0
