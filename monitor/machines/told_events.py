"""Finds an event that the gateway has told: of which camera it is, and which node has told it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.messages import AlertMessage, MalformedError, decode
from monitor.errors import RunError
from monitor.states import AlertKind

MOST_RECENT = 10_000
"""Events that are found without the journal."""
_PAGE, _PAGE_BYTES = 200, 1_000_000


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """node: the one that has told it."""

    event_id: str
    camera: str
    node: str


Found = Generator[None, None, ToldEvent | None]


class ToldEvents:
    """Only the thread of the journal may use it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recent: dict[str, ToldEvent] = {}
        self._last: dict[str, ToldEvent] = {}  # camera -> its last event that notified

    def note(self, message: AlertMessage, node: str) -> None:
        """An alert was told."""
        event = ToldEvent(message.event_id, message.camera, node)
        self._recent.pop(event.event_id, None)
        self._recent[event.event_id] = event
        if len(self._recent) > MOST_RECENT:
            del self._recent[next(iter(self._recent))]
        if _notified(message):
            self._last[message.camera] = event

    def find(self, event_id: str) -> Found:
        """The event, in small steps; None if the journal does not hold it. Raises RunError."""
        if (known := self._recent.get(event_id)) is not None:
            return known
        needle = event_id.encode(errors="replace")
        return (yield from self._searched("alert/", lambda body: needle in body, lambda it: it.event_id == event_id))

    def last(self, camera: str) -> Found:
        """The last event of a camera that notified, in small steps; None without one. Raises RunError."""
        if (known := self._last.get(camera)) is not None:
            return known
        return (yield from self._searched(f"alert/{camera}/", lambda _: True, _notified))

    def _searched(self, topic: str, maybe: Callable[[bytes], bool], wanted: Callable[[AlertMessage], bool]) -> Found:
        after, done, found = 0, False, None
        while not done:
            try:
                page = self._journal.page(after, (topic,), limit=_PAGE, max_bytes=_PAGE_BYTES, pictures=False)
            except JournalError as error:
                raise RunError(f"the event cannot be found: {error}") from None
            for entry in page.entries:
                if not maybe(entry.body):
                    continue
                try:
                    message = decode([entry.topic.encode(), entry.body]).message
                except (MalformedError, UnicodeError):
                    continue
                if isinstance(message, AlertMessage) and message.lease is not None and wanted(message):
                    found = ToldEvent(message.event_id, message.camera, message.lease.node)
            after, done = page.next, page.done
            yield
        return found


def _notified(message: AlertMessage) -> bool:
    return message.notify and message.about is AlertKind.ANOMALY
