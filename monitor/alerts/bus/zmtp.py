"""ZeroMQ's message transport protocol, version 3.0 (RFC 23): greeting, frames, commands. No I/O.

A connection begins with a greeting of 64 bytes from both sides. Then follow frames: a flags byte, the size (1 byte, or
8 bytes if LONG is set) and the content. A message is one or more frames; all except its last have MORE set.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

MORE, LONG, COMMAND = 1, 2, 4
WRONG_KEYS = "it uses no keys, or a public key of another monitor, or it is not a ZeroMQ program"
GREETING_BYTES = 64
_SIGNATURE = b"\xff\0\0\0\0\0\0\0\0\x7f"
_VERSION = b"\x03\x00"
_MECHANISM = slice(12, 32)


class ProtocolError(Exception):
    """A peer sent what this protocol does not allow, or more than a limit.

    The text completes "refused a client at ADDRESS: ...".
    """


class RefusedKeyError(ProtocolError):
    """The peer's key is not allowed. ``reply``: the bytes that tell the peer."""

    @property
    def reply(self) -> bytes:
        """The command ERROR with the code of a refused key."""
        return encode_frame(encode_command("ERROR", b"\x03400"), command=True)


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of a message, or a command. ``more``: the message has further parts."""

    content: bytes
    more: bool = False
    command: bool = False


def greeting(mechanism: str) -> bytes:
    """Return the 64 bytes with which the publisher begins a connection. ``mechanism`` is NULL or CURVE."""
    as_server = mechanism != "NULL"
    return _SIGNATURE + _VERSION + mechanism.encode().ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def check_greeting(received: bytes, mechanism: str) -> None:
    """Check the beginning of a greeting, as far as it has come. Raises ProtocolError."""
    if received[:1] not in (b"", b"\xff") or (len(received) > 9 and not received[9] & 1):
        raise ProtocolError("it is not a ZeroMQ program")
    if len(received) > 10 and received[10] < 3:
        raise ProtocolError("it uses a ZeroMQ library before version 4.0: update that library")
    if len(received) >= GREETING_BYTES and received[_MECHANISM].rstrip(b"\0") != mechanism.encode():
        raise ProtocolError("it uses keys, but this monitor has none" if mechanism == "NULL" else WRONG_KEYS)


def encode_frame(content: bytes, *, more: bool = False, command: bool = False) -> bytes:
    """Return the bytes of one frame."""
    flags = MORE * more | COMMAND * command
    if len(content) > 255:
        return struct.pack("!BQ", flags | LONG, len(content)) + content
    return struct.pack("!BB", flags, len(content)) + content


def encode_command(name: str, content: bytes = b"") -> bytes:
    """Return the content of a command frame."""
    return bytes([len(name)]) + name.encode() + content


def split_command(content: bytes) -> tuple[bytes, bytes]:
    """Return the name of a command and what follows it. Raises ProtocolError."""
    end = 1 + content[0] if content else 0
    if not 1 < end <= len(content):
        raise ProtocolError("it sent a command without a name")
    return content[1:end], content[end:]


def encode_properties(properties: Mapping[str, bytes]) -> bytes:
    """Return the properties of a connection, as in the command READY."""
    pairs = ((name.encode(), value) for name, value in properties.items())
    return b"".join(bytes([len(name)]) + name + struct.pack("!I", len(value)) + value for name, value in pairs)


def decode_properties(content: bytes) -> dict[str, bytes]:
    """Return the properties of a connection: name in lower case -> value. Raises ProtocolError."""
    properties, at = {}, 0
    while at < len(content):
        begins = at + 1 + content[at]
        ends = begins + 4 + int.from_bytes(content[begins : begins + 4], "big")
        if begins + 4 > len(content) or ends > len(content):
            raise ProtocolError("it sent properties that end too soon")
        properties[content[at + 1 : begins].decode("latin-1").lower()] = content[begins + 4 : ends]
        at = ends
    return properties


class FrameReader:
    """Takes bytes in pieces of any size, gives greeting and frames. Holds at most one frame and the last piece.

    max_bytes  size of the largest frame that is accepted
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes. Take all frames before the next call."""
        del self._data[: self._at]
        self._at = 0
        self._data += data

    def greeting(self, mechanism: str) -> bool:
        """Take the greeting; False if it has not come completely. Raises ProtocolError as soon as it is wrong."""
        check_greeting(bytes(self._data[:GREETING_BYTES]), mechanism)
        if len(self._data) < GREETING_BYTES:
            return False
        self._at = GREETING_BYTES
        return True

    def next_frame(self) -> Frame | None:
        """Take the next frame; None if it has not come completely. Raises ProtocolError."""
        head = self._data[self._at : self._at + 9]
        if len(head) < 2:
            return None
        flags = head[0]
        if flags & ~(MORE | LONG | COMMAND) or flags & (MORE | COMMAND) == MORE | COMMAND:
            raise ProtocolError("it sent a frame with wrong flags")
        if flags & LONG and len(head) < 9:
            return None
        size = int.from_bytes(head[1:9], "big") if flags & LONG else head[1]
        if size > self._max_bytes:
            raise ProtocolError(f"it sent a part of more than {self._max_bytes} bytes")
        begins = self._at + (9 if flags & LONG else 2)
        if len(self._data) < begins + size:
            return None
        self._at = begins + size
        return Frame(bytes(self._data[begins : self._at]), more=bool(flags & MORE), command=bool(flags & COMMAND))
