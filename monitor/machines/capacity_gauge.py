"""How many frames per second a node can analyse, measured while it watches: what a frame costs, and what there is.

Two things limit an engine: the cores of the machine, which all its processes share, and one core for the thread that
scores. From the time on cores per analysed frame, both give frames per second; the lower one counts. Models differ, so
only the node's own cameras can tell. Until they have, and without enough to do, the stated capacity holds.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

WINDOW_S = 20.0
"""One measurement."""
LEAST_LOAD = 0.1
"""Below this share of the cores, what a monitor does without frames would count for too much."""
MOST_SHARE = 0.95
"""Share of the thread's core, and of all cores, that can be used at most: the rest is for the system."""
WINDOWS = 9
"""Measurements of which the median counts; the first capacity is told after a third of them."""
CHANGE = 0.2
"""A capacity is told if it differs from the last one by more than this share, so that no camera goes back and forth."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Work:
    """What an engine has done so far. frames: analysed; cpu_s: seconds on cores, all its processes; busiest_s: the same
    of its busiest thread; run: names the run of the engine, with which all begin again."""

    run: str
    frames: int
    cpu_s: float
    busiest_s: float


class CapacityGauge:
    """Pure; the clock is passed in.

    cores   that the node may use
    stated  frames per second until something is measured
    one     whether one thread scores all cameras
    """

    def __init__(self, cores: int, stated: float, *, one: bool = True) -> None:
        self._cores, self._one = cores, one
        self.fps = stated
        """Frames per second that the node can analyse."""
        self.measured = False
        """Whether ``fps`` was measured."""
        self._found: deque[float] = deque(maxlen=WINDOWS)
        self._last: tuple[float, Work] | None = None

    def due(self, now: float) -> bool:
        """Whether ``take`` should be called."""
        return self._last is None or now - self._last[0] >= WINDOW_S

    def take(self, now: float, work: Work | None, *, usual: bool) -> None:
        """What the engine has done; None if it does not run. usual: False if it does what it does not do always, such
        as learning or opening cameras."""
        last, self._last = self._last, None if work is None else (now, work)
        if last is None or work is None or not usual or work.run != last[1].run:
            return
        passed_s, before = now - last[0], last[1]
        frames, cpu_s = work.frames - before.frames, work.cpu_s - before.cpu_s
        busiest_s = work.busiest_s - before.busiest_s
        if frames <= 0 or passed_s > 3 * WINDOW_S or cpu_s < LEAST_LOAD * self._cores * passed_s:
            return
        found = MOST_SHARE * self._cores * frames / cpu_s
        if self._one and busiest_s > 0:
            found = min(found, MOST_SHARE * frames / busiest_s)
        self._found.append(found)
        if len(self._found) * 3 < WINDOWS:
            return
        fps = float(f"{median(self._found):.2g}")
        if not self.measured or abs(fps - self.fps) > CHANGE * self.fps:
            self.fps, self.measured = fps, True


def processor_times(pid: int) -> tuple[float, float]:
    """Seconds on cores of a process with all its children, also those that have ended; and of its busiest thread.

    Linux only; elsewhere 0.
    """
    whole_s, busiest_s, waiting = 0.0, 0.0, [pid]
    while waiting:
        one = waiting.pop()
        with suppress(OSError, ValueError, IndexError):  # it has ended
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            whole_s += sum(map(int, fields[11:15])) / _TICKS
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
                if one == pid:
                    fields = (task / "stat").read_text().rpartition(")")[2].split()
                    busiest_s = max(busiest_s, sum(map(int, fields[11:13])) / _TICKS)
    return whole_s, busiest_s
