"""Hysteresis in time: a condition must last before it counts, and must be absent before it no longer counts."""

from __future__ import annotations

from collections import deque

_RECOVERY_S = 1.0
_FEWEST = 3
_ON, _OFF = 0.8, 0.2


class Lasting:
    """A condition counts when it has been true for ``after_s`` seconds, until it has been false for 1 s."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._since_s: float | None = None  # when the condition started to differ from the present state

    def update(self, time_s: float, condition: bool) -> bool:
        """Whether the condition counts at ``time_s``, seconds."""
        if condition is self._on:
            self._since_s = None
            return self._on
        if self._since_s is None:
            self._since_s = time_s
        if time_s - self._since_s >= (_RECOVERY_S if self._on else self._after_s):
            self._on, self._since_s = condition, None
        return self._on


class Mostly:
    """A condition counts when it is true for 80% of the frames of ``window_s`` seconds, until it is true for only 20%.

    Single frames that differ do not change the state, in either direction.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._frames: deque[tuple[float, bool]] = deque()
        self.on = False

    def interrupt(self) -> None:
        """Handle a gap: keep the present state until enough new frames contradict it."""
        self._frames.clear()

    def update(self, time_s: float, condition: bool) -> bool:
        """Whether the condition counts at ``time_s``, seconds."""
        frames = self._frames
        frames.append((time_s, condition))
        while len(frames) > _FEWEST and time_s - frames[1][0] >= self._window_s:
            frames.popleft()
        if len(frames) >= _FEWEST and time_s - frames[0][0] >= self._window_s:
            share = sum(holds for _, holds in frames) / len(frames)
            self.on = share > _OFF if self.on else share >= _ON
        return self.on
