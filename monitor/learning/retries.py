"""When learning is tried again after it failed for a reason that may pass: no memory, no room on the disk, a kill."""

from __future__ import annotations

from collections.abc import Callable

FIRST_S = 30.0
"""Delay before the second try, seconds. It doubles from try to try, up to ``LONGEST_S``."""
LONGEST_S = 1800.0
MOST = 8
"""Tries after the first one: all delays together are about 80 minutes."""


class Retries:
    """Counts the failures of one camera's learning, and says when the next try is due. clock: monotonic, seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.count = 0
        """Failures so far."""
        self.why = ""
        """The reason of the last failure, as a sentence; "" if there was none, or if a try has succeeded since."""
        self._due_at = 0.0

    @property
    def due(self) -> bool:
        """True if nothing speaks against a try now."""
        return self._clock() >= self._due_at

    def again(self, why: str) -> float | None:
        """Note a failure. Returns the delay before the next try, seconds; None if there is no further try."""
        if self.count >= MOST:
            return None
        delay_s = min(FIRST_S * 2.0**self.count, LONGEST_S)
        self.count += 1
        self.why = why
        self._due_at = self._clock() + delay_s
        return delay_s

    def succeeded(self) -> None:
        """A try has succeeded: a later failure counts anew."""
        self.count, self.why = 0, ""
