"""Brings the messages of the journal to one receiver: in order, again after a failure, and from the last position on.

A courier does one small step at a time and never waits by itself. Its thread waits between the steps; a test moves a
clock instead.
"""

from __future__ import annotations

import logging
import math
import random
import re
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from monitor.alerts.journal_rows import Entry
from monitor.alerts.messages import MalformedError, Stored, decode
from monitor.delivery.forgotten_camera import without_camera
from monitor.delivery.journal_feed import JournalFeed
from monitor.delivery.ledger import Ledger
from monitor.delivery.notice import LATE_S, DeliveryError, Notice, Receiver, Summary, with_safe_text
from monitor.text.durations import in_words
from monitor.text.outside import safe
from monitor.text.wording import counted

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 1.0
"""The wait after a failure doubles from this to the receiver's limit, seconds. Each wait is shortened by up to a half,
at random, so that many monitors do not call at the same time."""
LONGEST_WAIT_S = 600.0
"""A receiver that asks for a longer wait is called after this many seconds all the same."""
REFUSALS = 3
"""A notice that the receiver refuses this often is left out."""
COMPLAIN_EVERY_S = 600.0
"""A failure that lasts is logged at its beginning and after each interval of this many seconds."""
COMPLAIN_LEAST_S = 60.0
"""A receiver that fails now and then is complained about at most once in this many seconds."""
SAVE_EVERY_S = 10.0
"""The position is stored at least this often if messages are passed over, seconds."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks: ``monotonic`` for waits, ``unix`` for ages; both in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time


@dataclass
class Figures:
    """What a courier has done since the start.

    delivered  notices delivered
    late       of these, more than ``LATE_S`` after they came about
    failed     failed attempts
    refused    notices that the receiver refused for ever
    expired    notices that were older than the receiver's limit
    """

    delivered: int = 0
    late: int = 0
    failed: int = 0
    refused: int = 0
    expired: int = 0

    def __str__(self) -> str:
        parts = {"late": self.late, "refused": self.refused, "given up": self.expired}
        more = "".join(f", {number} {what}" for what, number in parts.items() if number)
        tries = f"; {counted(self.failed, 'failed attempt')}" if self.failed else ""
        return f"{self.delivered} delivered{more}{tries}"


@dataclass
class _Trouble:
    """A row of failed attempts to deliver one notice."""

    failures: int = 0
    refusals: int = 0
    retry_at: float = -math.inf
    since: float = math.inf
    complained: bool = False
    waiting: bool = False


class Courier:
    """Delivers to one receiver. Only one thread may call ``step``.

    begin_at  position from which a receiver without one in the ledger begins
    chance    returns a random number 0..1
    """

    def __init__(
        self,
        receiver: Receiver,
        feed: JournalFeed,
        ledger: Ledger,
        begin_at: int,
        *,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.receiver = receiver
        self.figures = Figures()
        self._feed = feed
        self._ledger = ledger
        self._clock = clock or Clock()
        self._chance = chance
        self._entries: deque[Entry] = deque()
        self._to_forget: deque[str] = deque()
        self._page_end: int | None = None
        self._notice: Notice | None = None
        self._trouble = _Trouble()
        self._ledger_fails = False
        self._expired_at = self._complained_at = -math.inf
        self._saved: tuple[int, str] | None = None
        self._saved_at = self._clock.monotonic()
        self._position = self._recall(begin_at)

    @property
    def failing(self) -> bool:
        """True while it waits after a failed attempt. Another thread may read this."""
        return self._trouble.waiting

    def step(self) -> float:
        """Do one step. Returns how many seconds to wait until the next one, unless the feed has an answer before."""
        if self._to_forget:
            self._forget(self._to_forget[0])
            self._to_forget.popleft()
            return 0.0
        if self._notice is not None:
            return self._attempt(self._notice)
        now = self._clock.unix()
        if self._entries:
            self._notice = self._taken(self._entries.popleft(), now)
            return 0.0
        if self._page_end is not None:
            self._position, self._page_end = self._page_end, None
            if self._clock.monotonic() - self._saved_at >= SAVE_EVERY_S:
                self.save()
        portion = self._feed.take(self.receiver.name)
        if portion is None:
            # Only once all messages are known is it certain that something is due: the next one may have ended it.
            self._notice = self.receiver.due(now)
            if self._notice is not None:
                return 0.0
            self._feed.ask(self.receiver.name, self._position, self.receiver.topics)
            return max(0.0, self.receiver.due_in(now))
        if portion.lost:
            log.error("%s: messages are no longer in the journal, or cannot be read: they are not sent", self._name)
        self._entries.extend(portion.entries)
        self._page_end = portion.next
        return 0.0

    def forget(self, camera: str) -> None:
        """Let ``step`` forget a camera: what the receiver remembers of it, and what is not delivered yet."""
        self._to_forget.append(camera)

    @property
    def forgetting(self) -> bool:
        """Whether ``step`` has yet to forget a camera. Another thread may read this."""
        return bool(self._to_forget)

    def _forget(self, camera: str) -> None:
        topic = re.compile(rf"[a-z]+/{re.escape(camera)}/")
        self._entries = deque(each for each in self._entries if not topic.match(each.topic))
        message = None if self._notice is None else self._notice.message
        if message is not None and not isinstance(message, Summary) and message.camera == camera:
            self._notice, self._trouble = None, _Trouble()
        self.receiver.load(without_camera(self.receiver.dump(), camera))
        try:
            self._ledger.forget(camera, delete=True)  # also what is stored while a notice waits
        except sqlite3.Error as error:
            log.warning("the outbox %s cannot be written (%s): it may still name a camera", self._ledger.path, error)
        self._saved = None
        self.save()

    def save(self) -> None:
        """Store the position and the state, unless a notice is being delivered. Raises nothing."""
        state = (self._position, self.receiver.dump())
        self._saved_at = self._clock.monotonic()
        if self._notice is not None or state == self._saved:
            return
        try:
            self._ledger.write(self._name, *state)
        except sqlite3.Error as error:
            if not self._ledger_fails:
                self._ledger_fails = True
                log.warning(
                    "the outbox %s cannot be written (%s): %s continues, but a restart repeats what it has sent; "
                    "free space on the disk",
                    self._ledger.path,
                    error,
                    self._name,
                )
            return
        self._saved = state
        if self._ledger_fails:
            self._ledger_fails = False
            log.warning("the outbox %s can be written again", self._ledger.path)

    @property
    def _name(self) -> str:
        return self.receiver.name

    def _recall(self, begin_at: int) -> int:
        try:
            found = self._ledger.read(self._name)
        except sqlite3.Error as error:
            log.warning("%s: its position cannot be read (%s): it begins with the next message", self._name, error)
            found = None
        if found is None:
            self._position = begin_at
            self.save()
            return begin_at
        self._saved = found
        self.receiver.load(found[1])
        return found[0]

    def _taken(self, entry: Entry, now: float) -> Notice | None:
        self._position = entry.position
        try:
            message = decode([entry.topic.encode(errors="replace"), entry.body]).message
        except MalformedError as error:
            log.warning("%s: a message in the journal cannot be read, it is left out (%s)", self._name, safe(error))
            return None
        if not isinstance(message, Stored):
            return None
        return self.receiver.take(with_safe_text(message), entry.jpeg, now)

    def _attempt(self, notice: Notice) -> float:
        trouble, now = self._trouble, self._clock.monotonic()
        if now < trouble.retry_at:
            return trouble.retry_at - now
        age_s = self._clock.unix() - notice.at
        if age_s > self.receiver.keep_s:
            self.figures.expired += 1
            if now - self._expired_at >= COMPLAIN_EVERY_S:
                self._expired_at = now
                limit = in_words(self.receiver.keep_s)
                log.error("%s: what is older than %s is given up, %d so far", self._name, limit, self.figures.expired)
            self._settle()
            return 0.0
        late = age_s > LATE_S
        try:
            self.receiver.deliver(notice, late=late)
        except DeliveryError as error:
            return self._failed(notice, error)
        except Exception as error:  # noqa: BLE001 - a library's error must not end the deliveries
            return self._failed(notice, DeliveryError(safe(f"{type(error).__name__}: {error}")))
        self.figures.delivered += 1
        self.figures.late += late
        self._recovered()
        self._settle()
        return 0.0

    def _failed(self, notice: Notice, error: DeliveryError) -> float:
        trouble, now = self._trouble, self._clock.monotonic()
        self.figures.failed += 1
        trouble.failures += 1
        trouble.refusals = trouble.refusals + 1 if error.final else 0
        trouble.since = min(trouble.since, now)
        if trouble.refusals >= REFUSALS:
            self.figures.refused += 1
            log.error("%s: %s is left out: %s", self._name, safe(notice.key), error)
            self._settle()
            return 0.0
        trouble.waiting = True
        backoff_s = min(self.receiver.backoff_max_s, BACKOFF_MIN_S * 2.0 ** min(trouble.failures - 1, 30))
        wait_s = max(backoff_s * (1.0 - 0.5 * self._chance()), min(error.wait_s, LONGEST_WAIT_S))
        trouble.retry_at = now + wait_s
        if now - self._complained_at >= (COMPLAIN_EVERY_S if trouble.complained else COMPLAIN_LEAST_S):
            self._complained_at, trouble.complained = now, True
            log.warning("%s: not delivered: %s; it is tried again, alerts wait in the journal", self._name, error)
        return wait_s

    def _recovered(self) -> None:
        if self._trouble.complained:
            lasted = in_words(self._clock.monotonic() - self._trouble.since)
            log.warning("%s: delivered again, after %s", self._name, lasted)

    def _settle(self) -> None:
        """The notice is done with, in one way or another: go on."""
        self._notice = None
        self._trouble = _Trouble()
        self.save()
