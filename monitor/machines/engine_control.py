"""A node asks its monitor for what clients ask at the head: each has a connection of its own. Never waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

MOST_OPEN = 16
"""Requests that may be open at the same time."""


@dataclass(frozen=True, slots=True)
class _Open:
    number: int
    socket: zmq.Socket[bytes]
    until: float


class EngineControl:
    """Only one thread may use it.

    endpoint  of the monitor's control socket
    """

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._open: list[_Open] = []

    def ask(self, number: int, payload: bytes, wait_s: float) -> bool:
        """Send a request. ``take`` gives the reply. False if too many are open."""
        if len(self._open) >= MOST_OPEN:
            return False
        if self._context is None:
            self._context = zmq.Context()
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(self._endpoint)
        socket.send(payload)  # into the queue of this connection, which is empty
        self._open.append(_Open(number, socket, self._clock() + wait_s))
        return True

    def take(self) -> list[tuple[int, bytes | None]]:
        """Replies that have come: (number, reply); None: there was none in time."""
        found: list[tuple[int, bytes | None]] = []
        now, waiting = self._clock(), []
        for each in self._open:
            try:
                found.append((each.number, each.socket.recv_multipart(zmq.NOBLOCK)[-1]))
            except zmq.Again:
                if now < each.until:
                    waiting.append(each)
                    continue
                found.append((each.number, None))
            each.socket.close()
        self._open = waiting
        return found

    def close(self) -> None:
        """Give up what is open."""
        for each in self._open:
            each.socket.close()
        self._open = []
        if self._context is not None:
            self._context.term()
            self._context = None
