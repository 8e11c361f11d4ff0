"""Cases timed in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

Case = Callable[[], object]


def medians(cases: Mapping[str, Case], rounds: int, repeats: int = 1) -> dict[str, float]:
    """Milliseconds of one call of each case: the median over the rounds of a round's mean over its repeats."""
    for case in cases.values():
        case()  # what is only done once is not timed
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            for _ in range(repeats):
                case()
            times[name].append((time.perf_counter() - started) / repeats * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


class Laps:
    """Adds up how long each stage of a repeated work takes."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._at = time.perf_counter()

    def start(self) -> None:
        """What went before does not count."""
        self._at = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The time since the last call was this stage's."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._at
        self._at = now
