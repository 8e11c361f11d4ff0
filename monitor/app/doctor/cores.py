"""Measures how long this thread was ready to run while other programs used all cores."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Linux: time on a core in ns, time waiting for a core in ns, and number of time slices (the kernel's sched-stats)."""


class CoreWait:
    """Measures from its creation on, for the current thread. Create it and read it in the same thread."""

    def __init__(self) -> None:
        self._started, self._waited_s = time.monotonic(), _waited_s()

    def share(self) -> float | None:
        """Share of the time since creation that was spent waiting, 0..1; None if the system does not report it."""
        waited_s, elapsed_s = _waited_s(), time.monotonic() - self._started
        if waited_s is None or self._waited_s is None or elapsed_s <= 0:
            return None
        return min(1.0, max(0.0, (waited_s - self._waited_s) / elapsed_s))


def _waited_s() -> float | None:
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
