"""What peers connect for: to subscribe, or to ask for earlier messages."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.alerts.bus.mechanisms import Mechanism
from monitor.alerts.bus.peer import MAX_FRAME_BYTES, Outgoing, Peer
from monitor.alerts.bus.zmtp import Frame, ProtocolError

MAX_SUBSCRIPTIONS = 1024
MAX_TOPIC_BYTES = 1024
MAX_TOPICS_BYTES = 131_072
"""Limits of the subscriptions of one peer: their number, the length of each, and the sum of their lengths."""
_MAX_PARTS = 4


class Subscriber(Peer):
    """A peer that gets the messages with a topic that begins with one of its subscriptions."""

    socket_type = "XPUB"
    partners = frozenset((b"SUB", b"XSUB"))

    def __init__(self, address: str, mechanism: Mechanism, room: int) -> None:
        super().__init__(address, mechanism, room)
        self.subscriptions: set[bytes] = set()
        self.changes = 0
        """Number of subscriptions that have come or gone."""
        self.wants_heartbeat = False
        """True after a subscription to heartbeats, until the publisher sets it back."""
        self._topics_bytes = 0
        self._prefixes: tuple[bytes, ...] | None = ()
        self._inside_message = False

    @property
    def idle(self) -> bool:
        """True without a subscription."""
        return not self.subscriptions

    def wants(self, topic: bytes) -> bool:
        """Return True if the peer has subscribed to this topic."""
        if self._prefixes is None:
            self._prefixes = tuple(self.subscriptions)
        return topic.startswith(self._prefixes)

    def received(self, frame: Frame) -> None:
        """Take a subscription: the byte 1 and a topic, or the byte 0 and a topic to leave it."""
        first, self._inside_message = not self._inside_message, frame.more
        if first and frame.content[:1] == b"\x01":
            self._subscribe(frame.content[1:])
        elif first and frame.content[:1] == b"\x00":
            self._leave(frame.content[1:])

    def command(self, name: bytes, content: bytes) -> None:
        """Take a subscription in the form of version 3.1 of the protocol."""
        if name == b"SUBSCRIBE":
            self._subscribe(content)
        elif name == b"CANCEL":
            self._leave(content)

    def _subscribe(self, topic: bytes) -> None:
        self.changes += 1
        self.wants_heartbeat |= topic == b"heartbeat/"
        if topic in self.subscriptions:
            return
        if len(topic) > MAX_TOPIC_BYTES:
            raise ProtocolError(f"it subscribes to a topic of more than {MAX_TOPIC_BYTES} bytes")
        self._topics_bytes += len(topic)
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS or self._topics_bytes > MAX_TOPICS_BYTES:
            raise ProtocolError(
                f"it subscribes to more than {MAX_SUBSCRIPTIONS} topics, or to more than {MAX_TOPICS_BYTES} bytes of "
                "topics"
            )
        self.subscriptions.add(topic)
        self._prefixes = None

    def _leave(self, topic: bytes) -> None:
        self.changes += 1
        if topic in self.subscriptions:
            self._topics_bytes -= len(topic)
            self.subscriptions.remove(topic)
            self._prefixes = None


class Requester(Peer):
    """A peer that asks one request after the other. Until a reply has been sent, the next request is not read."""

    socket_type = "ROUTER"
    partners = frozenset((b"DEALER", b"REQ", b"ROUTER"))

    def __init__(self, address: str, mechanism: Mechanism, room: int) -> None:
        super().__init__(address, mechanism, room)
        self.request: bytes | None = None
        """A request that nobody has taken yet."""
        self.answering = False
        self._delimiter: list[bytes] = []
        self._parts: list[bytes] = []

    @property
    def idle(self) -> bool:
        """True while no reply is due."""
        return not self.waits

    @property
    def waits(self) -> bool:
        """True while a request waits for its reply, or while a reply waits to be sent."""
        return self.request is not None or self.answering or self.queued_bytes > 0

    def received(self, frame: Frame) -> None:
        """Collect the parts of a request. What is not a request is ignored, as by any ROUTER."""
        self._parts.append(frame.content)
        if len(self._parts) > _MAX_PARTS or sum(map(len, self._parts)) > MAX_FRAME_BYTES:
            raise ProtocolError("it sent a request of too many parts or bytes")
        if frame.more:
            return
        parts, self._parts = self._parts, []
        # A REQ socket puts an empty part before its request, and expects one before the reply.
        self._delimiter = [b""] if len(parts) > 1 and parts[0] == b"" else []
        if len(parts) == len(self._delimiter) + 1:
            self.request = parts[-1]

    def reply(self, parts: Sequence[bytes]) -> None:
        """Queue the reply to the request."""
        self.answering = False
        self.offer(Outgoing([*self._delimiter, *parts]))
