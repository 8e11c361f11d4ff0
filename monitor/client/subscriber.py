"""Receive what a monitor publishes: alerts, camera health and scores, with every loss noticed.

    with AlertSubscriber("tcp://127.0.0.1:5560") as subscriber:
        for item in subscriber:
            if isinstance(item, Received):
                print(item.message)

Used by one thread only.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import zmq

from monitor.errors import ConfigError
from monitor.messages import (
    DEFAULT_ALERTS_ENDPOINT,
    AlertMessage,
    HealthMessage,
    Heartbeat,
    MalformedError,
    ScoreMessage,
    check_endpoint,
    decode,
)

SILENCE_S = 3.0
"""A publisher sends a heartbeat every second; after this long without one it counts as silent."""
_LONGEST_POLL_S = 60.0
"""ZeroMQ counts in milliseconds and 32 bits; a longer wait is several polls."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message, with the JPEG that came along with it, if any.

    lost  messages of the same topic found missing just before this one; a Gap item with their numbers came first
    """

    message: AlertMessage | HealthMessage | ScoreMessage
    jpeg: bytes | None
    lost: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages ``first`` to ``last`` of a topic were sent, and will not come."""

    topic: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Contact:
    """A publisher is heard: for the first time, again after a Silence, or with ``restarted`` as a new run."""

    node: str
    epoch: str
    restarted: bool


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard for ``seconds``; said once, until a Contact. ``heard_before``: whether there ever was one."""

    endpoint: str
    seconds: float
    heard_before: bool


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something came that is no message of this protocol, and was passed over. ``topic`` as text, for people."""

    topic: str
    reason: str


Item = Received | Gap | Contact | Silence | Malformed


class SequenceTracker:
    """Finds what is missing from the numbers of one socket's messages. Pure.

    A subscriber that joins a running monitor misses nothing of what came before. Once a heartbeat has named all topics,
    or the monitor was seen to restart, a topic not met yet is known to begin at 1.
    """

    def __init__(self) -> None:
        self._epoch: str | None = None
        self._begins_at_1 = False
        self._last: dict[str, int] = {}

    def enter(self, epoch: str) -> bool:
        """Take note of a message's epoch, before its number; True if the monitor was seen to restart."""
        if epoch == self._epoch:
            return False
        restarted = self._epoch is not None
        self._epoch, self._begins_at_1 = epoch, restarted
        self._last.clear()
        return restarted

    def received(self, topic: str, seq: int) -> tuple[bool, Gap | None]:
        """A message came: is it new (or seen before), and what is missing before it."""
        last = self._known(topic, seq - 1)
        self._last[topic] = max(seq, last)
        return seq > last, Gap(topic, last + 1, seq - 1) if seq > last + 1 else None

    def announced(self, last_seq: Mapping[str, int]) -> list[Gap]:
        """A heartbeat came with the last number of each topic that this socket should have had: what is missing."""
        gaps = []
        for topic, seq in last_seq.items():
            last = self._known(topic, seq)
            self._last[topic] = max(seq, last)
            if seq > last:
                gaps.append(Gap(topic, last + 1, seq))
        self._begins_at_1 = True
        return gaps

    def _known(self, topic: str, when_joining: int) -> int:
        return self._last.get(topic, 0 if self._begins_at_1 else when_joining)


class AlertSubscriber:
    """A context manager, and an iterator of all there is to say: Received, Gap, Contact, Silence, Malformed.

    endpoint         the monitor's alerts address
    scores_endpoint  its scores address; None: no scores
    cameras          only these; None: all
    health           camera health too
    timeout_s        iteration ends when no message came for so long, seconds; None: never
    silence_s        a Silence is reported when no heartbeat came for so long, seconds

    Connections that break come back by themselves. Raises ConfigError for an address or a camera name that cannot be.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ALERTS_ENDPOINT,
        *,
        scores_endpoint: str | None = None,
        cameras: Sequence[str] | None = None,
        health: bool = False,
        timeout_s: float | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        for address in (endpoint, scores_endpoint):
            if address is not None:
                check_endpoint(address)
        for camera in cameras or ():
            if not camera or "/" in camera:
                raise ConfigError(f"{camera!r} is no camera's name: a name is not empty and has no / in it")
        if timeout_s is not None and not timeout_s >= 0:
            raise ConfigError(f"the timeout must be 0 or more seconds, got {timeout_s}")
        suffixes = [""] if cameras is None else [f"{camera}/" for camera in cameras]
        self.endpoint = endpoint
        self.scores_endpoint = scores_endpoint
        self.malformed = 0
        """Messages passed over because they were malformed."""
        self._topics = tuple(
            f"{kind}/{s}" for kind in (("alert", "health") if health else ("alert",)) for s in suffixes
        )
        self._score_topics = tuple(f"score/{suffix}" for suffix in suffixes)
        self._timeout_s = math.inf if timeout_s is None else timeout_s
        self._silence_s = silence_s
        self._items: deque[Item] = deque()
        self._trackers: dict[zmq.Socket[bytes], SequenceTracker] = {}
        self._in_contact = False
        self._heard_before = False

    def __enter__(self) -> Self:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        try:
            # Heartbeats last: the first one is then surely after the other subscriptions have been taken.
            self._alerts = self._connect(self.endpoint, (*self._topics, "heartbeat/"))
            if self.scores_endpoint is not None:
                self._connect(self.scores_endpoint, self._score_topics)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        now = time.monotonic()
        self._ends_at, self._silent_at = now + self._timeout_s, now + self._silence_s
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while not self._items:
            wait_s = max(0.0, min(self._ends_at, self._silent_at) - time.monotonic())
            ready = self._poller.poll(math.ceil(min(wait_s, _LONGEST_POLL_S) * 1000))
            for sub, _ in ready:
                self._receive(sub)
            # Only now, after what lay here unread: a caller that takes long is no silence.
            now = time.monotonic()
            if now >= self._silent_at:
                self._in_contact, self._silent_at = False, math.inf
                self._items.append(Silence(self.endpoint, self._silence_s, self._heard_before))
            elif not ready and now >= self._ends_at:
                raise StopIteration
        return self._items.popleft()

    def _receive(self, sub: zmq.Socket[bytes]) -> None:
        parts = sub.recv_multipart()
        try:
            decoded = decode(parts)
        except MalformedError as error:
            self.malformed += 1
            self._items.append(Malformed(parts[0].decode(errors="replace"), str(error)))
            return
        message, now = decoded.message, time.monotonic()
        tracker = self._trackers[sub]
        restarted = tracker.enter(message.epoch)
        if sub is self._alerts:
            self._silent_at = now + self._silence_s
            if restarted or not self._in_contact:
                self._items.append(Contact(message.node, message.epoch, restarted))
            self._in_contact = self._heard_before = True
        if isinstance(message, Heartbeat):
            # A score may still be on its way on the other socket, so only this socket's topics are looked at.
            own = {topic: seq for topic, seq in message.last_seq.items() if topic.startswith(self._topics)}
            self._items.extend(tracker.announced(own))
            return
        new, gap = tracker.received(message.topic, message.seq)
        if gap is not None:
            self._items.append(gap)
        if new:
            self._ends_at = now + self._timeout_s
            self._items.append(Received(message, decoded.jpeg, gap.last - gap.first + 1 if gap else 0))

    def _connect(self, endpoint: str, topics: Sequence[str]) -> zmq.Socket[bytes]:
        sub = self._context.socket(zmq.SUB)
        sub.ipv6 = "[" in endpoint
        sub.reconnect_ivl, sub.reconnect_ivl_max = 100, 2000
        sub.heartbeat_ivl, sub.heartbeat_timeout = 5000, 15_000
        for topic in topics:
            sub.subscribe(topic)
        try:
            sub.connect(endpoint)
        except zmq.ZMQError as error:
            raise ConfigError(f"cannot connect to {endpoint} ({error.strerror}): write tcp://HOST:PORT") from error
        self._poller.register(sub, zmq.POLLIN)
        self._trackers[sub] = SequenceTracker()
        return sub
