"""A peer that speaks ZeroMQ's transport protocol by hand: it can send what no library sends."""

from __future__ import annotations

import socket
from typing import Self

from monitor.alerts.bus.zmtp import (
    Frame,
    FrameReader,
    encode_command,
    encode_frame,
    encode_properties,
    greeting,
)

DEADLINE_S = 20.0


def hello(kind: str = "SUB") -> bytes:
    """The greeting and the handshake of a peer without encryption."""
    ready = encode_command("READY", encode_properties({"Socket-Type": kind.encode()}))
    return greeting("NULL") + encode_frame(ready, command=True)


def subscription(topic: bytes) -> bytes:
    return encode_frame(b"\x01" + topic)


class RawPeer:
    """A connection to a bound address. It has sent ``first``."""

    def __init__(self, endpoint: str, first: bytes = b"") -> None:
        host, port = endpoint.removeprefix("tcp://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        self._reader = FrameReader(10**8)
        self._greeted = False
        self.socket.sendall(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def frame(self) -> Frame:
        """The next frame after the greeting. Raises EOFError if the other side closed the connection."""
        while True:
            if not self._greeted:
                self._greeted = self._reader.greeting("NULL")
            if self._greeted and (frame := self._reader.next_frame()) is not None:
                return frame
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError
            self._reader.feed(data)

    def message(self) -> list[bytes]:
        """The next message; commands are skipped."""
        parts: list[bytes] = []
        while True:
            frame = self.frame()
            if not frame.command:
                parts.append(frame.content)
                if not frame.more:
                    return parts

    def closed(self) -> bool:
        """Wait until the other side has closed the connection."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            pass
        return True
