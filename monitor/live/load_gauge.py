"""Measures the load of the live cameras, and passes on what they give up, see ``load_control``. Main thread only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from statistics import mean
from typing import Protocol

from monitor.live.frame_queue import QueueCounters
from monitor.live.load_control import KEPT_BY_EVENTS, LEVELS, Load, LoadControl, Relief

EVERY_S = 1.0
"""Seconds between two measurements."""
STARTS_S = 10.0
"""Seconds after cameras have joined in which nothing is decided: while they start, every machine is busy."""

Times = tuple[float, float]
"""Seconds on a core, and seconds of waiting for one, since a process began."""


class Relieved(Protocol):
    """A live camera: its counters, its decoder, and what it gives up."""

    name: str

    @property
    def live(self) -> bool:
        """False for a file: it waits, and gives up nothing."""

    @property
    def counters(self) -> QueueCounters:
        """Its counters in the queue."""

    @property
    def decoder_pid(self) -> int | None:
        """The process that decodes it; None if there is none now."""

    def relieve(self, relief: Relief) -> None:
        """Give this up from now on."""


class LoadGauge:
    """Calls the control about once per second, and tells the cameras.

    waited   (seconds, frames): time that all frames together waited until they were taken from the queue, and how many
    scoring  seconds in which the inference thread was at work
    times    process id -> its times; None if they are unknown
    """

    def __init__(
        self,
        waited: Callable[[], tuple[float, int]],
        scoring: Callable[[], float],
        times: Callable[[int], Times | None] | None = None,
    ) -> None:
        self._waited, self._scoring, self._times = waited, scoring, times or core_times
        self._control = LoadControl()
        self._cameras: tuple[str, ...] = ()
        self._joined_s = 0.0
        self._at_s: float | None = None
        self._counted: tuple[float, int, float] = (0.0, 0, 0.0)
        self._put = self._dropped = 0
        self._decoders: dict[int, Times] = {}

    @property
    def level(self) -> int:
        """The present level, an index of ``LEVELS``."""
        return self._control.level

    def tick(self, now_s: float, feeds: Iterable[Relieved], eventful: Collection[str] = ()) -> None:
        """Measure if it is due, and tell each live camera what it gives up.

        now_s     time.monotonic(), seconds
        eventful  names of the cameras with an open event
        """
        live = [feed for feed in feeds if feed.live]
        names = tuple(feed.name for feed in live)
        if names != self._cameras:
            joined = set(names) - set(self._cameras)
            self._cameras, self._at_s = names, None
            self._joined_s = now_s if joined else self._joined_s
        if not live or (self._at_s is not None and now_s - self._at_s < EVERY_S):
            return
        load = self._measure(now_s, live)
        if load is not None and now_s - self._joined_s >= STARTS_S:
            self._control.update(now_s, load)
        level = self._control.level
        for feed in live:
            kept = KEPT_BY_EVENTS if feed.name in eventful else 0
            feed.relieve(LEVELS[max(0, level - kept)])

    def _measure(self, now_s: float, live: Iterable[Relieved]) -> Load | None:
        """The load since the last call; None at the first."""
        counters = [feed.counters for feed in live]
        put, dropped = sum(each.put for each in counters), sum(each.dropped for each in counters)
        waited_s, taken = self._waited()
        scoring_s = self._scoring()
        decoders = {pid: times for feed in live if (pid := feed.decoder_pid) and (times := self._times(pid))}
        load = None
        if self._at_s is not None:
            passed_s = now_s - self._at_s
            before_s, before, before_scoring_s = self._counted
            both = [(now, self._decoders[pid]) for pid, now in decoders.items() if pid in self._decoders]
            idle = [max(0.0, 1.0 - (sum(now) - sum(last)) / passed_s) for now, last in both]
            load = Load(
                put - self._put,
                dropped - self._dropped,
                (waited_s - before_s) / (taken - before) if taken > before else 0.0,
                (scoring_s - before_scoring_s) / passed_s,
                mean(idle) if idle else None,
            )
        self._at_s, self._counted, self._decoders = now_s, (waited_s, taken, scoring_s), decoders
        self._put, self._dropped = put, dropped
        return load


def core_times(pid: int) -> Times | None:
    """The times of a process with one busy thread; None if it has ended, or if the system does not report them."""
    try:
        on_core, waiting, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
        return int(on_core) / 1e9, int(waiting) / 1e9
    except (OSError, ValueError):
        return None
