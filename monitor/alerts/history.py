"""What a run has sent: its numbers, the events that are open, and answers to those who missed something.

Pure apart from the journal: the Publisher owns the socket. A request is one part of JSON (HistoryRequest). The reply
is a part of JSON (HistoryReply), then three parts for every message in it: topic, body as sent, picture (or empty).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.journal_file import Entry, Page, now_position
from monitor.alerts.messages import (
    RECEIVED,
    SCHEMA,
    AlertMessage,
    Decoded,
    HealthMessage,
    MalformedError,
    WireModel,
    decode,
    encode,
)
from monitor.states import Phase
from monitor.text.wording import counted

PAGE_MESSAGES = 500
PAGE_BYTES = 1_000_000
"""A page of a replay holds no more than these, unless one message alone is larger."""

_TopicPrefix = Annotated[str, Field(max_length=300)]
_Unix = Annotated[float, Field(ge=0, le=1e11)]


class HistoryRequest(WireModel):
    """A question to the history socket.

    request   ``snapshot``: the last message of every open event; ``replay``: a page of what was sent
    tag       comes back with the reply
    topics    only topics that begin with one of these
    pictures  send pictures along
    after     replay: messages after this position, or
    since     replay: messages sent at this time (unix seconds) or later, or
    age_s     replay: messages sent within the last so many seconds by the monitor's clock
    limit     replay: at most so many messages
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
    """The head of a reply.

    reply     ``snapshot``, ``replay``, or ``error`` with the reason in ``error``
    tag       the request's
    position  position of the last message sent, kept or not
    last_seq  topic -> number of its last message in this epoch, as in a heartbeat
    journal   whether the monitor keeps a journal, so that it can replay
    after     the position that the page begins after
    complete  nothing that was kept after the position asked for has been removed since
    next      everything that matches up to this position is in this page or before it: ask for what is after it
    done      there is no more
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
    next: NonNegativeInt = 0
    done: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as received: its head, and its messages in the order of their positions."""

    head: HistoryReply
    messages: tuple[Decoded, ...] = ()


class History:
    """Counts, keeps and remembers what a Publisher sends, and answers requests; used by one thread only."""

    def __init__(self, node: str, epoch: str, journal: Journal | None) -> None:
        self.node = node
        self.epoch = epoch
        self.journal = journal
        self.last_seq: dict[str, int] = {}
        """Topic -> number of its last message."""
        self.open: dict[str, Entry] = {}
        """Event id -> the last message of an event that has no end yet, oldest first."""
        self.position = max(journal.last_position if journal else 0, now_position())
        """Position of the last message sent."""

    def interrupted(self) -> list[AlertMessage]:
        """The last messages of events that an earlier run, killed, has left open; they are open here from now on."""
        found = []
        for entry in self.journal.open_events() if self.journal else []:
            message = decode([entry.topic.encode(), entry.body]).message
            assert isinstance(message, AlertMessage)
            self.open[message.event_id] = entry
            found.append(message)
        return found

    def keep(self, message: AlertMessage | HealthMessage, body: bytes, jpeg: bytes | None) -> None:
        """Take note of a message that is about to be sent, in the journal first."""
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
        """The parts of the reply to whatever has come; ``unix_s`` is time.time()."""
        try:
            request = HistoryRequest.model_validate_json(payload, context=RECEIVED)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            return self._reply("error", "", error=f"{place or 'request'}: {first['msg']}"[:300])
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
        head = self._reply("replay", request.tag, after=after, complete=after == asked, next=page.next, done=page.done)
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
    """Turn the parts of a reply into what they say. Raises MalformedError, and nothing else."""
    if not parts or len(parts) % 3 != 1:
        raise MalformedError(f"expected a reply's head and three parts a message, got {counted(len(parts), 'part')}")
    try:
        head = HistoryReply.model_validate_json(parts[0], context=RECEIVED)
    except ValidationError as error:
        raise MalformedError(
            f"a reply's head: {error.errors(include_url=False, include_input=False)[0]['msg']}"
        ) from None
    return Answer(head, tuple(decode(parts[i : i + 3]) for i in range(1, len(parts), 3)))
