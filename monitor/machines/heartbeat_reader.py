"""Reads the heartbeats of a monitor on this machine: how many frames it has analysed."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

import zmq

from monitor.alerts.messages import Heartbeat, MalformedError, decode


class HeartbeatReader:
    """A context manager around the connection. Only one thread may use it. address: of the monitor's alerts."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.last: Heartbeat | None = None
        """The last heartbeat."""

    def __enter__(self) -> Self:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.subscribe("heartbeat/")
        self._socket.connect(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def frames(self) -> tuple[str, int] | None:
        """The run of the monitor, and the frames that it has analysed in it; None before the first heartbeat."""
        with suppress(zmq.Again):
            while True:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
                with suppress(MalformedError):
                    message = decode(parts).message
                    self.last = message if isinstance(message, Heartbeat) else self.last
        if self.last is None:
            return None
        scored = (count for topic, count in self.last.last_seq.items() if topic.startswith("score/"))
        return self.last.epoch, sum(scored)
