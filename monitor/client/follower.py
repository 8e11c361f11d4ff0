"""Delivers every alert exactly once and in order: takes live messages and history pages, returns items. No sockets.

The whole state of a subscriber is one position: everything up to it has been delivered. Within one run of the monitor,
the positions of alerts and health messages together have no gaps. So the next message shows a loss in any topic, and a
heartbeat shows it within a second. After a loss or a restart, the follower holds back live messages, requests the
messages after its position from the history, and merges both by position.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from monitor.alerts.history import Answer, HistoryReply, HistoryRequest
from monitor.alerts.messages import Decoded, Heartbeat, Stored
from monitor.client.items import Expired, Item, NoRepair, Received
from monitor.client.tracker import SequenceTracker

HELD = 1000
"""Limit of live messages that are held back. Further ones are dropped, and requested later as missing."""
_EPOCHS = 100
"""Number of monitor runs for which the delivered position is remembered."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: after a position, at a time (unix seconds), or ``age_s`` seconds ago by the monitor's clock."""

    after: int | None = None
    since: float | None = None
    age_s: float | None = None


class _State(Enum):
    JOINING = auto()  # until the first heartbeat gives the address of the history
    REPAIRING = auto()  # waits for the reply to ``request``; live messages are held back
    LIVE = auto()


@dataclass(frozen=True, slots=True)
class _Sent:
    """The last numbers sent in the followed topics, as stated by a heartbeat or a reply."""

    epoch: str
    last_seq: Mapping[str, int]
    position: int


class Follower:
    """Delivers messages in order and repairs losses. To repair, it must receive all alert and health messages.

    topics  deliver only messages with a topic that begins with one of these prefixes
    start   where to begin; None: with the events that are open at the first contact, and all messages sent since the
            subscriber started. A subscriber that waits for a monitor to start misses nothing
    repair  False: losses are only reported, from the numbers of the topics, and nothing is held back
    """

    def __init__(self, topics: Sequence[str], start: Start | None = None, *, repair: bool = True) -> None:
        self.items: deque[tuple[Item | None, int | None]] = deque()
        """Items to deliver, each with the position that is complete after it. None only completes a position."""
        self.request: HistoryRequest | None = None
        """The open request to the history, until ``answer`` or ``give_up`` is called."""
        self._topics = tuple(topics)
        self._start = start
        self._repair = repair
        self._can_repair = False
        self._state = _State.JOINING if repair else _State.LIVE
        self._tracker = SequenceTracker()
        self._epochs: dict[str, int] = {}  # run -> position up to which it has been delivered
        self._position: int | None = None
        self._held: list[Decoded] = []
        self._open: tuple[Decoded, ...] = ()  # messages of the snapshot, until the first live position is known
        self._there_since = 0.0
        self._pending: _Sent | None = None

    @property
    def caught_up(self) -> bool:
        """True if all messages sent so far have been delivered."""
        return self._state is _State.LIVE

    def live(self, decoded: Decoded) -> None:
        """Handle an alert or health message from the alerts socket."""
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
        """Handle a heartbeat from the alerts socket. It comes after all messages that it counts.

        waited_s  seconds since the subscriber started
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
        """Handle the reply to ``request``."""
        asked, self.request = self.request, None
        if answer.head.reply == "error":
            self.give_up(answer.head.error)
        elif answer.head.reply == "snapshot":
            self._join(answer)
        elif asked is not None and asked.after is None and answer.head.after >= self._first_held():
            # The clock was changed, so the page begins too late. The first live message shows the right position.
            self.request = asked.model_copy(update={"since": None, "age_s": None, "after": int(self._first_held()) - 1})
        else:
            self._take_page(answer)

    def give_up(self, reason: str) -> None:
        """The history is not available: continue with live messages, and report losses as gaps."""
        if self._state is _State.LIVE:
            return
        self.request, self._can_repair, self._state = None, False, _State.LIVE
        self.items.append((NoRepair(reason), None))
        self._deliver_open(self._first_held())
        held, self._held = self._held, []
        for decoded in held:
            if not self._seen(_kept(decoded)):
                self._deliver(decoded)
        pending, self._pending = self._pending, None
        if pending is not None:
            self._settle(pending)

    def no_heartbeat(self) -> None:
        """No heartbeat came for seconds: deliver the live messages that were held back for one."""
        if self._state is _State.JOINING and self._held:
            self.give_up("the monitor sends no heartbeat with the address of its history")

    def _first_request(self) -> HistoryRequest:
        if self._start is None:
            return HistoryRequest(request="snapshot", topics=self._topics)
        start = self._start
        return HistoryRequest(
            request="replay", topics=self._topics, after=start.after, since=start.since, age_s=start.age_s
        )

    def _join(self, answer: Answer) -> None:
        """Take the open events from a snapshot; then replay the messages since this subscriber started, if possible."""
        self._open = answer.messages
        if answer.head.journal:
            self.request = HistoryRequest(request="replay", topics=self._topics, since=self._there_since)
            return
        self._pending = self._sent(answer.head)
        self.give_up("this monitor keeps no journal")

    def _deliver_open(self, before: float) -> None:
        """Deliver the snapshot's messages before a position. From it on, messages come live or by replay."""
        for decoded in self._open:
            if (_kept(decoded).position or 0) < before:
                self.items.append((Received(_kept(decoded), decoded.jpeg, 0), None))
        self._open = ()

    def _take_page(self, answer: Answer) -> None:
        head = answer.head
        self._deliver_open(min(head.after + 1, self._first_held()))
        if not head.complete:
            self.items.append((Expired(head.node), None))
            self._position = head.after
        elif self._position is None:
            self._position = head.after
        # A message that is missing in the journal may still have come live.
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
        """No further message sent up to this point can come: report the missing ones as lost."""
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
            self._can_repair = True  # a new run may have a history even if the last one had none
        return self._can_repair and self._position is not None

    def _ask_for_missing(self, epoch: str, position: int) -> None:
        assert self._position is not None
        if epoch not in self._epochs:
            self._position = min(self._position, position)  # smaller only if the monitor's clock was set back
        self._state = _State.REPAIRING
        self.request = HistoryRequest(request="replay", topics=self._topics, after=self._position)

    def _seen(self, message: Stored) -> bool:
        return message.position is not None and message.position <= self._epochs.get(message.epoch, -1)

    def _enter(self, epoch: str, position: int) -> None:
        self._tracker.enter(epoch)
        # A new run continues at higher positions, unless its journal was deleted and its clock was set back.
        self._position = max(self._position or 0, position) if epoch in self._epochs else position
        self._epochs[epoch] = max(self._epochs.get(epoch, 0), position)
        if len(self._epochs) > _EPOCHS:
            del self._epochs[next(iter(self._epochs))]

    def _sent(self, said: Heartbeat | HistoryReply) -> _Sent:
        own = {topic: seq for topic, seq in said.last_seq.items() if topic.startswith(self._topics)}
        return _Sent(said.epoch, own, said.position or 0)


def _kept(decoded: Decoded) -> Stored:
    assert isinstance(decoded.message, Stored)
    return decoded.message
