"""Every alert once and in order: live messages and pages of history in, items out. Pure, no sockets.

A position is the whole state of a subscriber: everything up to it has been delivered. Within a run of the monitor the
positions of alerts and health messages together have no holes, so that the very next message shows a loss, of whichever
topic; a heartbeat shows it within a second. Then, and after a restart, live messages are held back, the history is
asked for what came after the position, and the two are merged by position.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from monitor.alerts.history import Answer, HistoryReply, HistoryRequest
from monitor.alerts.messages import AlertMessage, Decoded, HealthMessage, Heartbeat
from monitor.client.items import Expired, Item, NoRepair, Received
from monitor.client.tracker import SequenceTracker

HELD = 1000
"""Live messages held back at most; further ones are dropped, noticed as missing later, and asked for again."""
_EPOCHS = 100
"""Runs of the monitor that are remembered, to know what of them has been delivered."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: after a position, at a time (unix seconds), or so many seconds ago by the monitor's clock."""

    after: int | None = None
    since: float | None = None
    age_s: float | None = None


class _State(Enum):
    JOINING = auto()  # until the first heartbeat has said where the history is
    REPAIRING = auto()  # ``request`` is open, live messages are held back
    LIVE = auto()


@dataclass(frozen=True, slots=True)
class _Sent:
    """What had been sent at some moment, by a heartbeat or a reply: the numbers of the topics followed."""

    epoch: str
    last_seq: Mapping[str, int]
    position: int


class Follower:
    """Wants all alerts and health messages, if it is to repair losses, whichever of them are to be delivered.

    topics  deliver only messages whose topics begin with one of these
    start   where to begin; None: with the events that are open at the first contact, and all that was sent since the
            subscriber has been there: one that waits for a monitor to start misses nothing of it
    repair  False: losses are only noticed, by the numbers of the topics, and nothing is held back
    """

    def __init__(self, topics: Sequence[str], start: Start | None = None, *, repair: bool = True) -> None:
        self.items: deque[tuple[Item | None, int | None]] = deque()
        """What there is to say, each with the position that it completes; None items only complete one."""
        self.request: HistoryRequest | None = None
        """What to ask the history, until ``answer`` or ``give_up`` is called."""
        self._topics = tuple(topics)
        self._start = start
        self._repair = repair
        self._can_repair = False
        self._state = _State.JOINING if repair else _State.LIVE
        self._tracker = SequenceTracker()
        self._epochs: dict[str, int] = {}  # run -> position up to which it has been delivered
        self._position: int | None = None
        self._held: list[Decoded] = []
        self._open: tuple[Decoded, ...] = ()  # the snapshot's, until it is known where the live stream goes on from
        self._there_since = 0.0
        self._pending: _Sent | None = None

    @property
    def caught_up(self) -> bool:
        """Whether nothing is awaited but what is yet to happen."""
        return self._state is _State.LIVE

    def live(self, decoded: Decoded) -> None:
        """An alert or health message came over the alerts socket."""
        message = _kept(decoded)
        if self._state is not _State.LIVE:
            if len(self._held) < HELD:
                self._held.append(decoded)
            return
        if self._seen(message):
            return
        fits = message.epoch == self._tracker.epoch and message.position == (self._position or 0) + 1
        if fits or not self._may_repair(message.epoch):
            self._deliver(decoded)
            return
        self._held.append(decoded)
        self._ask_for_missing(message.epoch, (message.position or 1) - 1)

    def heartbeat(self, heartbeat: Heartbeat, waited_s: float = 0.0) -> None:
        """A heartbeat came over the alerts socket, after all messages that it counts.

        waited_s  how long the subscriber has been there, seconds
        """
        sent = self._sent(heartbeat)
        if self._state is _State.JOINING:
            self._there_since = max(0.0, heartbeat.sent_at - waited_s)
            if heartbeat.history is None or heartbeat.position is None:
                self.give_up("this monitor has no history socket")
                self._settle(sent)
            else:
                self._can_repair, self._pending, self._state = True, sent, _State.REPAIRING
                self.request = self._first_request()
        elif self._state is _State.LIVE:
            self._check(sent, can_ask=heartbeat.history is not None)

    def answer(self, answer: Answer) -> None:
        """The reply to ``request``."""
        asked, self.request = self.request, None
        if answer.head.reply == "error":
            self.give_up(answer.head.error)
        elif answer.head.reply == "snapshot":
            self._join(answer)
        elif asked is not None and asked.after is None and answer.head.after >= self._first_held():
            # By a clock that was set it begins too late: what came live shows where it has to.
            self.request = asked.model_copy(update={"since": None, "age_s": None, "after": int(self._first_held()) - 1})
        else:
            self._take_page(answer)

    def give_up(self, reason: str) -> None:
        """The history cannot be had: go on with what comes live, and let losses show."""
        if self._state is _State.LIVE:
            return
        self.request, self._can_repair, self._state = None, False, _State.LIVE
        self.items.append((NoRepair(reason), None))
        self._tell_open(self._first_held())
        held, self._held = self._held, []
        for decoded in held:
            if not self._seen(_kept(decoded)):
                self._deliver(decoded)
        pending, self._pending = self._pending, None
        if pending is not None:
            self._settle(pending)

    def no_heartbeat(self) -> None:
        """None came for seconds: do not hold back for longer what came without one."""
        if self._state is _State.JOINING and self._held:
            self.give_up("the monitor sends no heartbeat that says where its history is")

    def _first_request(self) -> HistoryRequest:
        if self._start is None:
            return HistoryRequest(request="snapshot", topics=self._topics)
        start = self._start
        return HistoryRequest(
            request="replay", topics=self._topics, after=start.after, since=start.since, age_s=start.age_s
        )

    def _join(self, answer: Answer) -> None:
        """The events open now; what was sent since this subscriber has been there is replayed, if it can be."""
        self._open = answer.messages
        if answer.head.journal:
            self.request = HistoryRequest(request="replay", topics=self._topics, since=self._there_since)
            return
        self._pending = self._sent(answer.head)
        self.give_up("this monitor keeps no journal")

    def _tell_open(self, before: float) -> None:
        """Tell of the snapshot what was sent before a position, from which on all comes live or by replay."""
        for decoded in self._open:
            if (_kept(decoded).position or 0) < before:
                self.items.append((Received(_kept(decoded), decoded.jpeg, 0), None))
        self._open = ()

    def _take_page(self, answer: Answer) -> None:
        head = answer.head
        self._tell_open(min(head.after + 1, self._first_held()))
        if not head.complete:
            self.items.append((Expired(head.node), None))
            self._position = head.after
        elif self._position is None:
            self._position = head.after
        # What was sent and is not in the journal can have come live all the same.
        final = head.position if head.done else head.next
        merged = {_kept(d).position or 0: d for d in self._held} | {_kept(d).position or 0: d for d in answer.messages}
        self._held = [merged[at] for at in sorted(merged) if at > final]
        for at in sorted(merged):
            if at <= final and not self._seen(_kept(merged[at])):
                self._deliver(merged[at])
        self._position = max(self._position, head.next)
        self.items.append((None, self._position))
        if not head.done:
            self.request = HistoryRequest(request="replay", topics=self._topics, after=self._position)
            return
        self._state = _State.LIVE
        pending, self._pending = self._pending, None
        if pending is not None and pending.epoch == head.epoch:
            self._settle(pending)
        held, self._held = self._held, []
        for decoded in held:
            self.live(decoded)

    def _check(self, sent: _Sent, *, can_ask: bool) -> None:
        fits = sent.epoch == self._tracker.epoch and sent.position == self._position
        if fits or not (can_ask and self._may_repair(sent.epoch)):
            self._settle(sent)
        else:
            self._pending = sent
            self._ask_for_missing(sent.epoch, sent.position)

    def _first_held(self) -> float:
        return min(((_kept(decoded).position or 0) for decoded in self._held), default=math.inf)

    def _settle(self, sent: _Sent) -> None:
        """Nothing more can come of what had been sent by then: what is missing is lost."""
        self._enter(sent.epoch, sent.position)
        self.items.extend((gap, None) for gap in self._tracker.announced(sent.last_seq))
        self.items.append((None, self._position))

    def _deliver(self, decoded: Decoded) -> None:
        message = _kept(decoded)
        self._enter(message.epoch, message.position or 0)
        if not message.topic.startswith(self._topics):
            self.items.append((None, message.position))
            return
        new, gap = self._tracker.received(message.topic, message.seq)
        if gap is not None:
            self.items.append((gap, None))
        if new:
            lost = gap.last - gap.first + 1 if gap else 0
            self.items.append((Received(message, decoded.jpeg, lost), message.position))

    def _may_repair(self, epoch: str) -> bool:
        if self._repair and epoch not in self._epochs:
            self._can_repair = True  # a new run may have a history that the last one had not
        return self._can_repair and self._position is not None

    def _ask_for_missing(self, epoch: str, position: int) -> None:
        assert self._position is not None
        if epoch not in self._epochs:
            self._position = min(self._position, position)  # smaller only if the monitor's clock was set back
        self._state = _State.REPAIRING
        self.request = HistoryRequest(request="replay", topics=self._topics, after=self._position)

    def _seen(self, message: AlertMessage | HealthMessage) -> bool:
        return message.position is not None and message.position <= self._epochs.get(message.epoch, -1)

    def _enter(self, epoch: str, position: int) -> None:
        self._tracker.enter(epoch)
        # A new run goes on from higher positions, unless its journal was deleted and its clock set back.
        self._position = max(self._position or 0, position) if epoch in self._epochs else position
        self._epochs[epoch] = max(self._epochs.get(epoch, 0), position)
        if len(self._epochs) > _EPOCHS:
            del self._epochs[next(iter(self._epochs))]

    def _sent(self, said: Heartbeat | HistoryReply) -> _Sent:
        own = {topic: seq for topic, seq in said.last_seq.items() if topic.startswith(self._topics)}
        return _Sent(said.epoch, own, said.position or 0)


def _kept(decoded: Decoded) -> AlertMessage | HealthMessage:
    assert isinstance(decoded.message, AlertMessage | HealthMessage)
    return decoded.message
