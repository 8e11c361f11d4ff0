"""Times several cases in turns, so that other programs on the machine disturb all of them equally."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

Case = Callable[[], object]


def medians(cases: Mapping[str, Case], rounds: int, repeats: int = 1) -> dict[str, float]:
    """Milliseconds per call of each case: the median over the rounds of the mean over the repeats of a round."""
    for case in cases.values():
        case()  # the first call is not timed, because it may include one-time work
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            for _ in range(repeats):
                case()
            times[name].append((time.perf_counter() - started) / repeats * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


class Laps:
    """Adds up the time of each stage of repeated work."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._at = time.perf_counter()

    def start(self) -> None:
        """Start the clock. The time before does not count."""
        self._at = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last call to this stage."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._at
        self._at = now
