"""The sink that runs the couriers: one thread per receiver. In its ticks, the main thread hands them journal pages.

A dead or slow receiver costs the main thread nothing: it hands over a page only to a courier that asks for one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from monitor.alerts.journal import Journal
from monitor.delivery.courier import Courier
from monitor.delivery.journal_feed import JournalFeed
from monitor.delivery.ledger import Ledger
from monitor.delivery.notice import Receiver
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.threads.stage import Stage, join_all

log = logging.getLogger(__name__)

END_S = 10.0
"""Seconds that the end of a run waits for deliveries, at most. It does not wait for a receiver that fails."""
HURRY_S = 0.8
"""Seconds that it waits if the user has requested the end."""
GRACE_S = 1.0
"""Additional seconds for the threads to end."""


class Outbox(Sink):
    """Delivers what the journal stores. Use it as a context manager, within those of the journal and the ledger.

    ledger     holds the positions
    receivers  where to; the outbox closes them
    stop       set when the user requests the end of the run
    """

    def __init__(
        self, journal: Journal, ledger: Ledger, receivers: Sequence[Receiver], *, stop: threading.Event
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._receivers = receivers
        self._stop = stop
        self._feed = JournalFeed()
        self._couriers: list[Courier] = []
        self._stages: list[Stage] = []
        self._reported: set[str] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for receiver in self._receivers:
                stack.callback(receiver.close)
            begin_at = self._journal.last_position
            self._couriers = [Courier(receiver, self._feed, self._ledger, begin_at) for receiver in self._receivers]
            self._stages = [Stage(c.receiver.name, self._work_of(c), self._on_error) for c in self._couriers]
            for stage in self._stages:
                stage.start()
            log.info("alerts are also delivered to %s", ", ".join(r.name for r in self._receivers))
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        ends_at = time.monotonic() + (HURRY_S if self._stop.is_set() else END_S)
        while self._able() and time.monotonic() < ends_at:
            self._feed.serve(self._journal)
            self._feed.await_request(0.02)
            if self._stop.is_set():
                ends_at = min(ends_at, time.monotonic() + HURRY_S)
        left = self.behind
        self._feed.close()
        for receiver in self._receivers:
            receiver.interrupt()
        join_all(self._stages, GRACE_S)
        for courier in self._couriers:
            rest = "; the next run sends the rest" if courier.receiver.name in left else ""
            log.info("%s: %s%s", courier.receiver.name, courier.figures, rest)
        self._closing.close()

    def tick(self, report: RunReport) -> None:  # noqa: ARG002 - it looks at the journal alone
        """Hand pages of the journal to couriers that ask for one."""
        self.serve()

    def serve(self) -> None:
        """The same, where there is no report: only by the thread of the journal."""
        self._feed.serve(self._journal)

    def forget(self, camera: str) -> Callable[[], bool]:
        """Let all receivers forget a camera, soon. Returns a function that says whether all of them have."""
        for courier in self._couriers:
            courier.forget(camera)
        self._feed.wake()
        pairs = list(zip(self._couriers, self._stages, strict=True))
        return lambda: not any(courier.forgetting and stage.alive for courier, stage in pairs)

    @property
    def couriers(self) -> Sequence[Courier]:
        """The couriers, for their figures."""
        return self._couriers

    @property
    def behind(self) -> list[str]:
        """Receivers that have not got all messages."""
        names = [courier.receiver.name for courier in self._couriers]
        return [name for name in names if not self._feed.caught_up(name, self._journal)]

    def _able(self) -> bool:
        """Whether a receiver that has not got all messages is able to take them now."""
        behind = self.behind
        pairs = zip(self._couriers, self._stages, strict=True)
        return any(c.receiver.name in behind and stage.alive and not c.failing for c, stage in pairs)

    def _work_of(self, courier: Courier) -> Callable[[], None]:
        def work() -> None:
            while not self._feed.closed:
                wakes = self._feed.wakes
                wait_s = courier.step()
                if wait_s > 0:
                    if courier.failing:
                        self._feed.pause(wait_s, wakes)
                    else:
                        self._feed.wait(courier.receiver.name, wait_s, wakes)
            courier.save()

        return work

    @staticmethod
    def _on_error(stage: Stage) -> None:
        log.error("%s: its deliveries have ended (%s): the next run continues them", stage.name, stage.error)
