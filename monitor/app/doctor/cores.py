"""How long this thread was ready to run while other programs had all cores."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Linux: time on a core, time waiting for one, both in ns, and turns on a core (the kernel's sched-stats)."""


class CoreWait:
    """Counts from its making, for the thread that makes and asks it."""

    def __init__(self) -> None:
        self._started, self._waited_s = time.monotonic(), _waited_s()

    def share(self) -> float | None:
        """Of the time since, 0..1; None where the system does not tell."""
        waited_s, elapsed_s = _waited_s(), time.monotonic() - self._started
        if waited_s is None or self._waited_s is None or elapsed_s <= 0:
            return None
        return min(1.0, max(0.0, (waited_s - self._waited_s) / elapsed_s))


def _waited_s() -> float | None:
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
