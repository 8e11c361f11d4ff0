"""A peer of the bus: what has come, what waits to be sent, and the limits of both. No I/O, no lock, no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from monitor.alerts.bus.mechanisms import Mechanism
from monitor.alerts.bus.zmtp import (
    WRONG_KEYS,
    Frame,
    FrameReader,
    ProtocolError,
    encode_command,
    greeting,
    split_command,
)

MAX_FRAME_BYTES = 65_536
"""Size of the largest part that a peer may send. Peers send only short subscriptions and requests."""
MAX_QUEUED_BYTES = 32_000_000
"""Limit of the messages that wait for one peer. A single message that is larger is sent if none waits."""
_VERSION_BYTES = 12
"""The part of a greeting up to the version."""
_CHUNK_BYTES = 65_536
_MAX_CONTROL_BYTES = 4096
_MAX_PING_CONTEXT = 16


class Outgoing:
    """A message to send. All peers share it."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.parts = tuple(parts)
        self.size = sum(map(len, self.parts))


class Peer(ABC):
    """A peer from its first byte on. A subclass says what its messages mean.

    address    for people
    mechanism  the security of this connection
    room       number of messages that wait for this peer before it loses some
    """

    socket_type: ClassVar[str]
    """The type of socket that the publisher seems to have."""
    partners: ClassVar[frozenset[bytes]]
    """The types of sockets that may connect."""

    def __init__(self, address: str, mechanism: Mechanism, room: int) -> None:
        self.address = address
        self.ready = False
        """True once the handshake is complete."""
        self.queued_bytes = 0
        """Size of all that waits to be sent."""
        self._mechanism = mechanism
        self._room = room
        self._begun = self._greeted = False
        self._reader = FrameReader(MAX_FRAME_BYTES)
        own = greeting(mechanism.name)
        # In two steps, as libzmq: a peer that sees the wrong mechanism leaves before it says its own.
        self._control, self._rest = bytearray(own[:_VERSION_BYTES]), own[_VERSION_BYTES:]
        self._queue: deque[Outgoing] = deque()
        self._unsent = memoryview(b"")

    @property
    def key(self) -> bytes | None:
        """Its public key, 32 bytes; None without keys."""
        return self._mechanism.key

    @property
    def idle(self) -> bool:
        """True if the peer loses nothing when it is disconnected and connects again."""
        return False

    @property
    def waits(self) -> bool:
        """True if no more may be read from this peer now."""
        return False

    def left(self) -> None:
        """Handle the end of what the peer sends. Raises ProtocolError if it left because it lacks the keys."""
        if self._begun and not self.ready and self._mechanism.name == "CURVE":
            raise ProtocolError(WRONG_KEYS)

    def take(self, data: bytes) -> None:
        """Handle received bytes. Raises ProtocolError."""
        self._begun = True
        self._reader.feed(data)
        self.go_on()

    def begin(self, data: bytes) -> None:
        """Handle received bytes up to the end of the handshake; call ``go_on`` then. Raises ProtocolError."""
        self._begun = True
        self._reader.feed(data)
        self.go_on(until_ready=True)

    def go_on(self, *, until_ready: bool = False) -> None:
        """Handle the frames that have come, until one makes the peer wait. Raises ProtocolError."""
        if not self._greeted:
            self._greet()
        while self._greeted and not self.waits and (frame := self._reader.next_frame()) is not None:
            if not self.ready:
                self._shake_hands(frame)
                if self.ready and until_ready:
                    return
                continue
            frame = self._mechanism.open(frame)
            if frame.command:
                self._obey(*split_command(frame.content))
            else:
                self.received(frame)

    @abstractmethod
    def received(self, frame: Frame) -> None:
        """Handle a part of a message. Raises ProtocolError."""

    def command(self, name: bytes, content: bytes) -> None:  # noqa: B027 - most peers send none
        """Handle a command that not every peer sends. Unknown ones are ignored."""

    def offer(self, message: Outgoing, most_waiting: int | None = None) -> bool:
        """Queue a message. Returns False if the queue is full: the peer loses this message.

        most_waiting: it also loses the message if more bytes than this wait for it already
        """
        if most_waiting is not None and self.queued_bytes > most_waiting:
            return False
        full = len(self._queue) >= self._room or self.queued_bytes + message.size > MAX_QUEUED_BYTES
        if full and self._queue:
            return False
        self._queue.append(message)
        self.queued_bytes += message.size
        return True

    @property
    def unsent(self) -> memoryview:
        """The next bytes to send; empty if nothing waits."""
        if not self._unsent:
            chunk, self._control = self._control, bytearray()
            while self._queue and self.ready and len(chunk) < _CHUNK_BYTES:
                message = self._queue.popleft()
                self.queued_bytes -= message.size
                chunk += self._encoded(message)
            self.queued_bytes += len(chunk)
            self._unsent = memoryview(bytes(chunk))
        return self._unsent

    def sent(self, count: int) -> None:
        """Record that the first ``count`` bytes of ``unsent`` have been sent."""
        self._unsent = self._unsent[count:]
        self.queued_bytes -= count

    def forget(self) -> None:
        """Release the memory of all that waits."""
        self._queue.clear()
        self._unsent, self.queued_bytes = memoryview(b""), 0

    def _encoded(self, message: Outgoing) -> bytes:
        last = len(message.parts) - 1
        return b"".join(self._mechanism.seal(Frame(part, more=at < last)) for at, part in enumerate(message.parts))

    def _greet(self) -> None:
        try:
            self._greeted = self._reader.greeting(self._mechanism.name)
        except ProtocolError:
            self._control += self._rest  # so the peer, too, can see what is wrong
            raise
        if self._greeted:
            self._control += self._rest

    def _shake_hands(self, frame: Frame) -> None:
        if not frame.command:
            raise ProtocolError("it did not complete the handshake")
        reply, properties = self._mechanism.take(frame.content)
        self._control += reply
        if properties is None:
            return
        kind = properties.get("socket-type", b"")
        if kind not in self.partners:
            wanted = " or ".join(sorted(partner.decode() for partner in self.partners))
            raise ProtocolError(f"its socket has the wrong type for this address: use {wanted}")
        self.ready = True

    def _obey(self, name: bytes, content: bytes) -> None:
        if name == b"PING":
            # The first two bytes are a time to live. A peer that does not read its answers gets no more of them.
            if len(self._control) < _MAX_CONTROL_BYTES:
                pong = encode_command("PONG", content[2 : 2 + _MAX_PING_CONTEXT])
                self._control += self._mechanism.seal(Frame(pong, command=True))
        else:
            self.command(name, content)

    def refuse(self, reply: bytes) -> None:
        """Queue the last bytes for a peer that is refused."""
        self._control += reply
