"""Hands pages of the journal from the main thread to the couriers.

Only the main thread may read the journal. A courier asks for the messages after its position and waits. The main thread
answers in its usual ticks, for a bounded time. At most one page per courier is in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.journal_rows import Entry

log = logging.getLogger(__name__)

PAGE_MESSAGES = 50
PAGE_BYTES = 500_000
"""Limits of one page. A single message that is larger than the limit still gets a page."""
SERVE_S = 0.01
"""The main thread reads for at most this long per tick, seconds, and at least one page."""
_LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Portion:
    """The next messages for a courier, up to the position ``next``.

    lost  True if messages after the requested position have been removed from the journal
    """

    entries: tuple[Entry, ...]
    next: int
    lost: bool


@dataclass(frozen=True, slots=True)
class _Request:
    after: int
    topics: tuple[str, ...]


class JournalFeed:
    """Couriers call ``ask``, ``take`` and ``wait``; the main thread calls ``serve`` and ``close``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked: dict[str, _Request] = {}
        self._ready: dict[str, Portion] = {}
        self.closed = False
        """True at the end of the run: couriers stop."""
        self.wakes = 0
        """How often ``wake`` was called."""

    def ask(self, who: str, after: int, topics: tuple[str, ...]) -> None:
        """Ask for the messages after a position. The request stands until ``take`` returns its answer."""
        with self._changed:
            if who not in self._ready:
                self._asked[who] = _Request(after, topics)
                self._changed.notify_all()

    def take(self, who: str) -> Portion | None:
        """The answer, once; None if there is none yet."""
        with self._changed:
            return self._ready.pop(who, None)

    def wait(self, who: str, timeout_s: float, wakes: int = 0) -> None:
        """Wait until there is an answer, the feed is closed or woken, at most ``timeout_s`` seconds.

        wakes: how often the feed had been woken when the caller last looked for something to do
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self.closed or who in self._ready or self.wakes != wakes, min(timeout_s, _LONGEST_WAIT_S)
            )

    def wake(self) -> None:
        """End all waiting once: there is something else to do."""
        with self._changed:
            self.wakes += 1
            self._changed.notify_all()

    def pause(self, seconds: float, wakes: int = 0) -> None:
        """Wait until the feed is closed or woken, at most ``seconds``. wakes: as for ``wait``."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self.wakes != wakes, seconds)

    def serve(self, journal: Journal) -> None:
        """Answer requests for which there are new messages. Raises nothing."""
        with self._changed:
            asked = list(self._asked.items())
        ends_at = time.monotonic() + SERVE_S
        for who, request in asked:
            if request.after == journal.last_position:
                continue
            try:
                portion = _read(journal, request)
            except JournalError as error:  # the journal has logged what is wrong with it
                log.debug("no page for %s: %s", who, error)
                return
            with self._changed:
                # Served last, it is asked last next time: no courier waits for another one for ever.
                del self._asked[who]
                self._ready[who] = portion
                self._changed.notify_all()
            if time.monotonic() >= ends_at:
                return

    def caught_up(self, who: str, journal: Journal) -> bool:
        """Whether a courier has handled all messages of the journal."""
        with self._changed:
            request = self._asked.get(who)
            return request is not None and request.after == journal.last_position and who not in self._ready

    def await_request(self, timeout_s: float) -> None:
        """Wait until a courier asks for something, at most ``timeout_s`` seconds."""
        with self._changed:
            self._changed.wait(timeout_s)

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _read(journal: Journal, request: _Request) -> Portion:
    after, lost = request.after, False
    if after < journal.kept_after or after > journal.last_position:
        # A position after the last one belongs to an earlier journal, of a time when the clock was ahead.
        after, lost = journal.kept_after, True
    page = journal.page(after, request.topics, limit=PAGE_MESSAGES, max_bytes=PAGE_BYTES)
    return Portion(page.entries, page.next, lost or page.unreadable > 0)
