"""What must last before it counts, and must be over for a while before it no longer does."""

from __future__ import annotations

from collections import deque

_RECOVERY_S = 1.0
_FEWEST = 3
_ON, _OFF = 0.8, 0.2


class Lasting:
    """A condition that counts once it has held for ``after_s`` seconds, until it has not held for a second."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._on = False
        self._since_s: float | None = None  # when the condition began to differ from what counts

    def update(self, time_s: float, condition: bool) -> bool:
        """Whether it counts at ``time_s``, seconds."""
        if condition is self._on:
            self._since_s = None
            return self._on
        if self._since_s is None:
            self._since_s = time_s
        if time_s - self._since_s >= (_RECOVERY_S if self._on else self._after_s):
            self._on, self._since_s = condition, None
        return self._on


class Mostly:
    """A condition that counts once it holds for 80% of the frames of ``window_s`` seconds, until it holds for 20%.

    Single frames that say otherwise change nothing, one way or the other.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._frames: deque[tuple[float, bool]] = deque()
        self.on = False

    def interrupt(self) -> None:
        """A gap: what counts goes on to count until frames enough have said otherwise."""
        self._frames.clear()

    def update(self, time_s: float, condition: bool) -> bool:
        """Whether it counts at ``time_s``, seconds."""
        frames = self._frames
        frames.append((time_s, condition))
        while len(frames) > _FEWEST and time_s - frames[1][0] >= self._window_s:
            frames.popleft()
        if len(frames) >= _FEWEST and time_s - frames[0][0] >= self._window_s:
            share = sum(holds for _, holds in frames) / len(frames)
            self.on = share > _OFF if self.on else share >= _ON
        return self.on
