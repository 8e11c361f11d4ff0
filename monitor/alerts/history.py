"""History of one run: message numbers, open events, and replies to clients that missed messages.

Apart from the journal, this module does no I/O: the Publisher owns the socket. A request is one JSON part
(HistoryRequest). A reply is one JSON part (HistoryReply), then three parts per message: topic, body as sent, picture
(or an empty part).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.journal_file import now_position
from monitor.alerts.journal_rows import Entry, Page
from monitor.alerts.message_parts import RECEIVED, WireModel
from monitor.alerts.messages import SCHEMA, AlertMessage, Decoded, MalformedError, Stored, decode, encode
from monitor.errors import first_problem
from monitor.states import Phase
from monitor.text.wording import counted

log = logging.getLogger(__name__)

PAGE_MESSAGES = 500
PAGE_BYTES = 1_000_000
"""Limits of one replay page. A single message that is larger than the limit still gets a page."""

NAMED_EVENTS = 5
"""Open events named in the log at the start; the rest are counted."""

_TopicPrefix = Annotated[str, Field(max_length=300)]
_Unix = Annotated[float, Field(ge=0, le=1e11)]


class HistoryRequest(WireModel):
    """A request to the history socket. A replay takes one of ``after``, ``since`` and ``age_s``.

    request   ``snapshot``: the last message of every open event; ``replay``: one page of the messages sent so far
    tag       the reply repeats it
    topics    only topics that begin with one of these prefixes
    pictures  include the pictures
    after     replay: only messages after this position
    since     replay: only messages sent at this time (unix seconds) or later
    age_s     replay: only messages sent in the last ``age_s`` seconds, by the monitor's clock
    limit     replay: the highest number of messages
    """

    schema_: PositiveInt = Field(SCHEMA, alias="schema")
    request: Literal["snapshot", "replay"]
    tag: str = Field("", max_length=100)
    topics: tuple[_TopicPrefix, ...] = Field(("alert/", "health/"), max_length=256)
    pictures: bool = True
    after: Annotated[int, Field(ge=0, le=2**62)] | None = None
    since: _Unix | None = None
    age_s: _Unix | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MESSAGES)] = PAGE_MESSAGES


class HistoryReply(WireModel):
    """The first part of a reply.

    reply     ``snapshot``, ``replay``, or ``error`` with the reason in ``error``
    tag       the tag of the request
    position  position of the last message sent, in the journal or not
    last_seq  topic -> number of its last message in this epoch, as in a heartbeat
    journal   True if the monitor keeps a journal and can therefore replay
    after     the page begins after this position
    complete  False if messages after the requested position have been removed from the journal
    unreadable  number of messages of this page that the journal holds, but cannot read
    next      this page and the pages before it hold every match up to this position: request the next page after it
    done      True if this is the last page
    """

    schema_: PositiveInt = Field(SCHEMA, alias="schema")
    reply: Literal["snapshot", "replay", "error"]
    tag: str = ""
    node: str
    epoch: str
    position: NonNegativeInt
    last_seq: dict[str, PositiveInt]
    journal: bool
    after: NonNegativeInt = 0
    complete: bool = True
    unreadable: NonNegativeInt = 0
    next: NonNegativeInt = 0
    done: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A received reply: its head, its messages in order of position, and the topic and reason of each malformed one."""

    head: HistoryReply
    messages: tuple[Decoded, ...] = ()
    malformed: tuple[tuple[str, str], ...] = ()


class History:
    """Numbers and journals the messages of a Publisher, and answers requests. Only one thread may use it."""

    def __init__(self, node: str, epoch: str, journal: Journal | None) -> None:
        self.node = node
        self.epoch = epoch
        self.journal = journal
        self.last_seq: dict[str, int] = {}
        """Topic -> number of its last message."""
        self.open: dict[str, Entry] = {}
        """Event id -> the last message of an event that has not ended yet, oldest first."""
        self.position = max(journal.last_position if journal else 0, now_position())
        """Position of the last message sent."""

    def interrupted(self, *, one_per_camera: bool = True) -> list[AlertMessage]:
        """Return the last messages of events that an earlier, killed run left open. They are now open in this run.

        A camera has one open event of each kind; of several in the journal, the last counts. Others, and events that
        cannot be read, are logged: subscribers will not get their end. one_per_camera: False in a fleet, where two
        nodes may have an open event of one camera.
        """
        left, unreadable = self._left_open(), 0
        found: dict[tuple[str, str], AlertMessage] = {}
        for event_id, stored in left:
            last = next((pair for pair in map(_open_alert, stored) if pair is not None), None)
            if last is None:
                unreadable += 1
                if unreadable <= NAMED_EVENTS:
                    log.warning(
                        "event %s was open when the monitor was killed, but cannot be read: it gets no end",
                        event_id[:200],
                    )
                continue
            message, entry = last
            key = message.camera, message.about if one_per_camera else message.event_id
            if (earlier := found.pop(key, None)) is not None:
                self.open.pop(earlier.event_id, None)
            self.open[message.event_id] = entry
            found[key] = message
        total = max(self.journal.open_count if self.journal else 0, len(left))
        if more := total - len(found) - min(unreadable, NAMED_EVENTS):
            log.warning(
                "the journal holds %s more that were open when the monitor was killed: they cannot be read, or a later "
                "one of the same camera is open, too; they get no end",
                counted(more, "event"),
            )
        return list(found.values())

    def _left_open(self) -> list[tuple[str, list[Entry]]]:
        try:
            return self.journal.open_events() if self.journal else []
        except JournalError as error:
            log.warning("events that were open when the monitor was killed get no end: %s", error)
            return []

    def keep(self, message: Stored, body: bytes, jpeg: bytes | None) -> None:
        """Record a message that is about to be sent, in the journal first."""
        assert message.position is not None
        entry = Entry(message.position, message.sent_at, message.epoch, message.topic, message.seq, body, jpeg)
        if isinstance(message, AlertMessage):
            self.open.pop(message.event_id, None)
            if message.phase is not Phase.END:
                self.open[message.event_id] = entry
        if self.journal is not None:
            self.journal.append(entry, self.open)
        self.position = message.position
        self.last_seq[message.topic] = message.seq

    def answer(self, payload: bytes, unix_s: float) -> list[bytes]:
        """Return the parts of the reply to any request payload; ``unix_s`` is time.time()."""
        try:
            request = HistoryRequest.model_validate_json(payload, context=RECEIVED)
        except ValidationError as error:
            place, what = first_problem(error)
            return self._reply("error", "", error=f"{place or 'request'}: {what}"[:300])
        if request.request == "snapshot":
            return self._snapshot(request)
        if self.journal is None:
            return self._reply("error", request.tag, error="this monitor keeps no journal, so it cannot replay")
        try:
            return self._replay(request, self.journal, unix_s)
        except JournalError as error:
            return self._reply("error", request.tag, error=str(error))

    def _snapshot(self, request: HistoryRequest) -> list[bytes]:
        entries = [entry for entry in self.open.values() if entry.topic.startswith(request.topics)]
        room = PAGE_BYTES if request.pictures else 0
        parts: list[bytes] = []
        for entry in entries:
            jpeg = entry.jpeg if entry.jpeg is not None and len(entry.jpeg) <= room else b""
            room -= len(jpeg)
            parts += [entry.topic.encode(), entry.body, jpeg]
        return self._reply("snapshot", request.tag, next=self.position) + parts

    def _replay(self, request: HistoryRequest, journal: Journal, unix_s: float) -> list[bytes]:
        asked = after = request.after
        if after is None:
            since = request.since if request.since is not None else unix_s - (request.age_s or 0.0)
            asked = after = journal.position_at(since)
        if after < journal.kept_after or after > self.position:
            after = journal.kept_after
        page: Page = journal.page(
            after, request.topics, limit=request.limit, max_bytes=PAGE_BYTES, pictures=request.pictures
        )
        head = self._reply(
            "replay",
            request.tag,
            after=after,
            complete=after == asked,
            unreadable=page.unreadable,
            next=page.next,
            done=page.done,
        )
        messages = ((entry.topic.encode(), entry.body, entry.jpeg or b"") for entry in page.entries)
        return head + list(itertools.chain.from_iterable(messages))

    def _reply(self, reply: Literal["snapshot", "replay", "error"], tag: str, **fields: Any) -> list[bytes]:
        head = HistoryReply(
            reply=reply,
            tag=tag,
            node=self.node,
            epoch=self.epoch,
            position=self.position,
            last_seq=self.last_seq,
            journal=self.journal is not None,
            **fields,
        )
        return [encode(head)]


def decode_answer(parts: Sequence[bytes]) -> Answer:
    """Decode the parts of a reply. Raises only MalformedError. A malformed message does not hide the others."""
    if not parts or len(parts) % 3 != 1:
        raise MalformedError(
            f"expected the head of a reply and three parts per message, got {counted(len(parts), 'part')}"
        )
    try:
        head = HistoryReply.model_validate_json(parts[0], context=RECEIVED)
    except ValidationError as error:
        raise MalformedError(f"the head of a reply: {': '.join(filter(None, first_problem(error)))}") from None
    messages, malformed = [], []
    for at in range(1, len(parts), 3):
        try:
            messages.append(_decode_kept(parts[at : at + 3]))
        except MalformedError as error:
            malformed.append((parts[at][:300].decode(errors="replace"), str(error)))
    return Answer(head, tuple(messages), tuple(malformed))


def _decode_kept(parts: Sequence[bytes]) -> Decoded:
    decoded = decode(parts)
    if not isinstance(decoded.message, Stored) or decoded.message.position is None:
        raise MalformedError("it is not an alert, health, budget or moment message with a position")
    return decoded


def _open_alert(entry: Entry) -> tuple[AlertMessage, Entry] | None:
    """Return the message of an event that is open, with its entry; None if it is not one."""
    try:
        message = decode([entry.topic.encode(errors="replace"), entry.body]).message
    except MalformedError:
        return None
    return (message, entry) if isinstance(message, AlertMessage) and message.phase is not Phase.END else None
