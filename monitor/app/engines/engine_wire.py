"""Messages between a run and one of its engines, over a Unix socket of their own. Neither end ever waits to send.

Each message is a pickled object behind its length. Both ends are this program, and nobody else can reach the socket.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
import time
from collections import deque
from contextlib import suppress

_LENGTH = struct.Struct("!I")
_PIECE = 1 << 20
_AT_ONCE = 32 << 20  # bytes per call of ``receive``
MOST_WAITING = 32 << 20
"""Bytes that wait to be sent; above it, messages that may be lost are."""


class Wire:
    """One end. Only one thread uses it.

    dropped  messages that were not sent, because the other end is too slow
    ended    True once the other end has closed the socket, and all that it sent has been received
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._out: deque[memoryview] = deque()
        self._waiting = 0
        self._in = bytearray()
        self.dropped = 0
        self.ended = False

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._end.fileno()

    @property
    def behind(self) -> bool:
        """True while something waits to be sent."""
        return bool(self._out)

    def send(self, message: object, *, droppable: bool = False) -> None:
        """Send a message, as soon as the other end takes it. droppable: it may be lost if the other end is too slow."""
        if droppable and self._waiting > MOST_WAITING:
            self.dropped += 1
            return
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._out.append(memoryview(_LENGTH.pack(len(content)) + content))
        self._waiting += _LENGTH.size + len(content)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the other end takes it."""
        with suppress(BlockingIOError):
            while self._out:
                try:
                    sent = self._end.send(self._out[0])
                except (BrokenPipeError, ConnectionResetError):  # ``receive`` notices the end
                    self._out.clear()
                    self._waiting = 0
                    return
                self._waiting -= sent
                if sent == len(self._out[0]):
                    self._out.popleft()
                else:
                    self._out[0] = self._out[0][sent:]

    def receive(self) -> list[object]:
        """The messages that have arrived since the last call; never waits."""
        read = 0
        with suppress(BlockingIOError):
            while not self.ended and read < _AT_ONCE:
                try:
                    piece = self._end.recv(_PIECE)
                except ConnectionResetError:
                    piece = b""
                self.ended = not piece
                self._in += piece
                read += len(piece)
        return self._unpacked()

    def wait(self, timeout_s: float) -> None:
        """Wait until something arrives, or until the other end takes what waits here; at most ``timeout_s`` seconds."""
        select.select([self._end], [self._end] if self._out else [], [], max(0.0, timeout_s))

    def drain(self, timeout_s: float) -> bool:
        """Send all that waits. False if the other end did not take it in time."""
        deadline = time.monotonic() + timeout_s
        while self._out and time.monotonic() < deadline:
            select.select([], [self._end], [], max(0.0, deadline - time.monotonic()))
            self.flush()
        return not self._out

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _unpacked(self) -> list[object]:
        found: list[object] = []
        at, size = 0, len(self._in)
        with memoryview(self._in) as view:
            while size - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(view, at)
                if size - at - _LENGTH.size < length:
                    break
                at += _LENGTH.size
                found.append(pickle.loads(view[at : at + length]))  # noqa: S301 - sent by this program itself
                at += length
        del self._in[:at]
        return found
