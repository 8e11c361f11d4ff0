"""What the main thread and the thread of the bus share: the connections, what waits for them, and their requests.

One lock guards all of it. It is never held while a socket is used.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from monitor.alerts.bus.doors import Connection, Door
from monitor.alerts.bus.peer import Outgoing
from monitor.alerts.bus.roles import Requester, Subscriber

MAX_WAITING_BYTES = 128_000_000
"""Limit of all waiting messages. Above it, the peer that has read nothing for the longest time is disconnected."""


class Exchange:
    """Queues messages for peers, and collects what they ask for.

    wake  wakes the thread of the bus; never blocks
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.news = threading.Condition(threading.Lock())
        """The lock. It is notified when subscriptions change."""
        self.connections: dict[int, Connection] = {}
        """File descriptor -> open connection."""
        self._wake = wake
        self._changes = self._seen = 0
        self._fresh: set[Connection] = set()
        self._requests: deque[Connection] = deque()

    # The main thread

    def wanted(self, door: Door, topic: bytes) -> bool:
        """Return True if a peer has subscribed to this topic."""
        with self.news:
            return any(_wants(each, topic) for each in door.connections)

    def publish(self, door: Door, parts: Sequence[bytes], most_waiting: int | None = None) -> None:
        """Queue a message for every peer that has subscribed to its topic, the first part.

        most_waiting: a peer for which more bytes than this wait already does not get it
        """
        message, now = Outgoing(parts), time.monotonic()
        with self.news:
            for each in door.connections:
                if _wants(each, parts[0]):
                    self._queue(each, now, lambda peer: peer.offer(message, most_waiting))
            self._bound_memory()
        self._wake()

    def heartbeat_wanted(self) -> bool:
        """Return True if a peer has subscribed to heartbeats since the last call."""
        with self.news:
            new = [peer for peer in self._subscribers() if peer.wants_heartbeat]
            for peer in new:
                peer.wants_heartbeat = False
        return bool(new)

    def subscriptions(self, timeout_s: float) -> frozenset[str]:
        """Return the topic prefixes with a subscriber now. Waits up to ``timeout_s`` seconds for a change."""
        with self.news:
            self.news.wait_for(lambda: self._changes != self._seen, timeout_s)
            self._seen = self._changes
            topics = set(chain.from_iterable(peer.subscriptions for peer in self._subscribers()))
        return frozenset(topic.decode(errors="replace") for topic in topics)

    def next_request(self, door: Door) -> tuple[Connection, bytes] | None:
        """Take the request through a door that has waited longest; None if none waits. Call ``reply`` afterwards."""
        with self.news:
            while (asking := next((each for each in self._requests if each.door is door), None)) is not None:
                self._requests.remove(asking)
                peer = asking.peer
                if isinstance(peer, Requester) and peer.request is not None and not asking.closed:
                    request, peer.request, peer.answering = peer.request, None, True
                    return asking, request
        return None

    def reply(self, asking: Connection, parts: Sequence[bytes]) -> None:
        """Queue the reply to a request."""
        with self.news:
            peer = asking.peer
            if asking.closed or not isinstance(peer, Requester):
                return
            self._queue(asking, time.monotonic(), lambda _: peer.reply(parts))
            self._bound_memory()
        self._wake()

    # The thread of the bus

    def enter(self, number: int, each: Connection, door: Door) -> None:
        """Add a connection that has just been accepted. ``number`` is its file descriptor."""
        with self.news:
            self.connections[number] = each
            door.connections.append(each)

    def leave(self, number: int, each: Connection, door: Door) -> None:
        """Remove a connection that is about to be closed."""
        with self.news:
            each.closed = True
            del self.connections[number]
            door.connections.remove(each)
            self._fresh.discard(each)
            if isinstance(each.peer, Subscriber) and each.peer.subscriptions:
                self._changed()

    def take_fresh(self) -> set[Connection]:
        """Return the connections for which something has been queued since the last call."""
        with self.news:
            fresh, self._fresh = self._fresh, set()
        return fresh

    def digest(self, each: Connection, data: bytes) -> None:
        """Handle received bytes, or bytes that came before the peer had to wait."""
        peer = each.peer
        if not peer.ready:
            # Without the lock: the main thread must not wait until keys are looked up on the disk.
            peer.begin(data)
            data = b""
        with self.news:
            asked = isinstance(peer, Requester) and peer.request is not None
            changes = peer.changes if isinstance(peer, Subscriber) else 0
            peer.take(data)
            if isinstance(peer, Subscriber) and peer.changes != changes:
                self._changed()
            if isinstance(peer, Requester) and peer.request is not None and not asked:
                self._requests.append(each)

    def next_chunk(self, each: Connection) -> memoryview:
        """Return the next bytes to send; empty if nothing waits."""
        with self.news:
            return each.peer.unsent

    def sent(self, each: Connection, count: int) -> bool:
        """Record sent bytes. Returns True if the peer no longer has to wait for them: call ``digest`` then."""
        with self.news:
            if each.doomed:
                return False
            waited = each.peer.waits
            each.peer.sent(count)
            each.moved_at = time.monotonic()
            return waited and not each.peer.waits

    # Both, with the lock

    def _queue(self, each: Connection, now: float, add: Callable[[Any], object]) -> None:
        if not each.peer.queued_bytes:
            each.moved_at = now
        add(each.peer)
        self._fresh.add(each)

    def _bound_memory(self) -> None:
        waiting = [each for each in self.connections.values() if each.peer.queued_bytes and not each.doomed]
        total = sum(each.peer.queued_bytes for each in waiting)
        for each in sorted(waiting, key=lambda each: each.moved_at):
            if total <= MAX_WAITING_BYTES:
                return
            total -= each.peer.queued_bytes
            each.peer.forget()
            each.doomed = True
            self._fresh.add(each)

    def _subscribers(self) -> Iterator[Subscriber]:
        return (each.peer for each in self.connections.values() if isinstance(each.peer, Subscriber))

    def _changed(self) -> None:
        self._changes += 1
        self.news.notify_all()


def _wants(each: Connection, topic: bytes) -> bool:
    peer = each.peer
    return isinstance(peer, Subscriber) and peer.ready and not each.closed and peer.wants(topic)
