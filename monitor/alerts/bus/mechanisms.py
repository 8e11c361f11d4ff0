"""The publisher's half of the handshake, and the encryption of frames: NULL (none) and CURVE (RFC 26). No I/O.

The boxes of CURVE are those of libsodium (PyNaCl). Two states are kept per connection: the keys of the connection, and
the last nonce of each side. A nonce is never used twice, and a received one must be larger than the last.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from nacl import bindings
from nacl.exceptions import CryptoError

from monitor.alerts.bus.zmtp import (
    WRONG_KEYS,
    Frame,
    ProtocolError,
    decode_properties,
    encode_command,
    encode_frame,
    encode_properties,
    split_command,
)

_HELLO_BYTES, _COOKIE_BYTES, _VOUCH_BYTES = 194, 96, 96
_MORE, _COMMAND = 1, 2
"""Flags inside an encrypted frame."""


class Mechanism(Protocol):
    """The security of one connection."""

    name: str
    """NULL or CURVE."""
    key: bytes | None
    """The peer's public key, 32 bytes, once it is admitted; None without keys."""

    def take(self, command: bytes) -> tuple[bytes, Mapping[str, bytes] | None]:
        """Handle a command of the handshake. Returns the bytes to send, and the peer's properties once it is done.

        Raises ProtocolError.
        """
        ...

    def seal(self, frame: Frame) -> bytes:
        """Return the bytes to send for a frame."""
        ...

    def open(self, frame: Frame) -> Frame:
        """Return the frame that a received frame holds. Raises ProtocolError."""
        ...


class NullMechanism:
    """No encryption; everybody may connect. ``properties`` are those of the publisher."""

    name = "NULL"
    key: bytes | None = None

    def __init__(self, properties: Mapping[str, bytes]) -> None:
        self._ready = encode_command("READY", encode_properties(properties))

    def take(self, command: bytes) -> tuple[bytes, Mapping[str, bytes] | None]:
        """See Mechanism."""
        name, content = split_command(command)
        if name != b"READY":
            raise ProtocolError("it did not complete the handshake")
        return encode_frame(self._ready, command=True), decode_properties(content)

    def seal(self, frame: Frame) -> bytes:
        """See Mechanism."""
        return encode_frame(frame.content, more=frame.more, command=frame.command)

    def open(self, frame: Frame) -> Frame:
        """See Mechanism."""
        return frame


class CurveMechanism:
    """Encrypted with the keys of both sides.

    public, secret  the publisher's keys, 32 bytes each
    admit           raises RefusedKeyError if the peer with this public key (32 bytes) may not connect
    properties      those of the publisher
    """

    name = "CURVE"

    def __init__(
        self, public: bytes, secret: bytes, admit: Callable[[bytes], None], properties: Mapping[str, bytes]
    ) -> None:
        self.key: bytes | None = None
        self._public, self._secret, self._admit = public, secret, admit
        self._properties = encode_properties(properties)
        self._own_public, self._own_secret = bindings.crypto_box_keypair()
        self._cookie = os.urandom(_COOKIE_BYTES)
        self._peer_public: bytes | None = None
        self._shared = b""
        self._sent, self._received = 0, 0

    def take(self, command: bytes) -> tuple[bytes, Mapping[str, bytes] | None]:
        """See Mechanism."""
        name, content = split_command(command)
        try:
            if name == b"HELLO" and self._peer_public is None:
                return self._hello(content), None
            if name == b"INITIATE" and self._peer_public is not None:
                return self._initiate(content)
        except CryptoError:
            pass
        raise ProtocolError(WRONG_KEYS)

    def _hello(self, content: bytes) -> bytes:
        if len(content) != _HELLO_BYTES:
            raise ProtocolError("it sent a HELLO of the wrong size")
        public, nonce, box = content[74:106], content[106:114], content[114:]
        if bindings.crypto_box_open(box, b"CurveZMQHELLO---" + nonce, public, self._secret) != bytes(64):
            raise CryptoError
        self._peer_public, self._received = public, int.from_bytes(nonce, "big")
        long_nonce = os.urandom(16)
        # The cookie needs no key of its own, because the connection keeps its state.
        box = bindings.crypto_box(self._own_public + self._cookie, b"WELCOME-" + long_nonce, public, self._secret)
        return encode_frame(encode_command("WELCOME", long_nonce + box), command=True)

    def _initiate(self, content: bytes) -> tuple[bytes, Mapping[str, bytes]]:
        assert self._peer_public is not None
        if not hmac.compare_digest(content[:_COOKIE_BYTES], self._cookie):
            raise CryptoError
        self._shared = bindings.crypto_box_beforenm(self._peer_public, self._own_secret)
        inside = self._open(content[_COOKIE_BYTES:], b"CurveZMQINITIATE")
        key, vouch, properties = inside[:32], inside[32 : 32 + _VOUCH_BYTES], inside[32 + _VOUCH_BYTES :]
        if len(vouch) != _VOUCH_BYTES:
            raise CryptoError
        vouched = bindings.crypto_box_open(vouch[16:], b"VOUCH---" + vouch[:16], key, self._own_secret)
        if not hmac.compare_digest(vouched, self._peer_public + self._public):
            raise CryptoError
        self._admit(key)
        self.key = key
        ready = encode_command("READY", self._seal(self._properties, b"CurveZMQREADY---"))
        return encode_frame(ready, command=True), decode_properties(properties)

    def seal(self, frame: Frame) -> bytes:
        """See Mechanism."""
        flags = bytes([_MORE * frame.more | _COMMAND * frame.command])
        return encode_frame(encode_command("MESSAGE", self._seal(flags + frame.content, b"CurveZMQMESSAGES")))

    def open(self, frame: Frame) -> Frame:
        """See Mechanism."""
        name, content = split_command(frame.content)
        try:
            inside = self._open(content, b"CurveZMQMESSAGEC") if name == b"MESSAGE" else b""
        except CryptoError:
            inside = b""
        if not inside:
            raise ProtocolError("it sent a frame that cannot be decrypted")
        return Frame(inside[1:], more=bool(inside[0] & _MORE), command=bool(inside[0] & _COMMAND))

    def _seal(self, content: bytes, prefix: bytes) -> bytes:
        self._sent += 1
        nonce = struct.pack("!Q", self._sent)
        return nonce + bindings.crypto_box_afternm(content, prefix + nonce, self._shared)

    def _open(self, content: bytes, prefix: bytes) -> bytes:
        nonce, box = content[:8], content[8:]
        number = int.from_bytes(nonce, "big")
        if len(nonce) < 8 or len(box) < bindings.crypto_box_BOXZEROBYTES or number <= self._received:
            raise CryptoError
        self._received = number
        return bindings.crypto_box_open_afternm(box, prefix + nonce, self._shared)
