"""The publisher's half of CURVE against a client written by hand. Real clients connect in test_keys.py."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from monitor.alerts.bus.mechanisms import CurveMechanism, NullMechanism
from monitor.alerts.bus.zmtp import (
    Frame,
    FrameReader,
    ProtocolError,
    RefusedKeyError,
    encode_command,
    encode_properties,
    split_command,
)

SERVER, CLIENT, OTHER = (bindings.crypto_box_keypair() for _ in range(3))
PROPERTIES = {"Socket-Type": b"XPUB"}


def content(encoded: bytes) -> bytes:
    """The content of the one frame in these bytes."""
    reader = FrameReader(10**6)
    reader.feed(encoded)
    frame = reader.next_frame()
    assert frame is not None
    return frame.content


class Client:
    """The client's half of the handshake (RFC 26)."""

    def __init__(self, server: bytes = SERVER[0], keys: tuple[bytes, bytes] = CLIENT) -> None:
        self.server, self.keys = server, keys
        self.public, self.secret = bindings.crypto_box_keypair()
        self.count = 0
        self.shared = b""

    def nonce(self) -> bytes:
        self.count += 1
        return self.count.to_bytes(8, "big")

    def hello(self) -> bytes:
        nonce = self.nonce()
        box = bindings.crypto_box(bytes(64), b"CurveZMQHELLO---" + nonce, self.server, self.secret)
        return encode_command("HELLO", b"\1\0" + bytes(72) + self.public + nonce + box)

    def initiate(self, welcome: bytes) -> bytes:
        long_nonce, box = welcome[8:24], welcome[24:]
        inside = bindings.crypto_box_open(box, b"WELCOME-" + long_nonce, self.server, self.secret)
        theirs, cookie = inside[:32], inside[32:]
        self.shared = bindings.crypto_box_beforenm(theirs, self.secret)
        own = os.urandom(16)
        vouch = own + bindings.crypto_box(self.public + self.server, b"VOUCH---" + own, theirs, self.keys[1])
        sealed = self.box(self.keys[0] + vouch + encode_properties({"Socket-Type": b"SUB"}), b"CurveZMQINITIATE")
        return encode_command("INITIATE", cookie + sealed)

    def box(self, plain: bytes, prefix: bytes) -> bytes:
        nonce = self.nonce()
        return nonce + bindings.crypto_box_afternm(plain, prefix + nonce, self.shared)

    def message(self, plain: bytes) -> Frame:
        return Frame(encode_command("MESSAGE", self.box(plain, b"CurveZMQMESSAGEC")))


def admit(key: bytes) -> None:
    if key != CLIENT[0]:
        raise RefusedKeyError("its public key is not in any file")


def a_publisher() -> CurveMechanism:
    return CurveMechanism(*SERVER, admit, PROPERTIES)


def connected() -> tuple[CurveMechanism, Client]:
    publisher, client = a_publisher(), Client()
    welcome, _ = publisher.take(client.hello())
    _, properties = publisher.take(client.initiate(content(welcome)))
    assert properties == {"socket-type": b"SUB"}
    return publisher, client


def test_frames_are_sealed_and_opened() -> None:
    publisher, client = connected()
    assert publisher.open(client.message(b"\0\1alert/")) == Frame(b"\1alert/")
    assert publisher.open(client.message(b"\2\4PING")) == Frame(b"\4PING", command=True)
    sealed = content(publisher.seal(Frame(b"secret", more=True)))
    assert b"secret" not in sealed
    nonce, box = sealed[8:16], sealed[16:]
    assert bindings.crypto_box_open_afternm(box, b"CurveZMQMESSAGES" + nonce, client.shared) == b"\1secret"


def test_a_key_that_is_not_allowed_gets_the_answer_that_says_so() -> None:
    publisher, client = a_publisher(), Client(keys=OTHER)
    welcome, _ = publisher.take(client.hello())
    with pytest.raises(RefusedKeyError, match="not in any file") as refused:
        publisher.take(client.initiate(content(welcome)))
    assert content(refused.value.reply) == b"\x05ERROR\x03400"


def test_a_key_that_the_client_does_not_own_is_refused() -> None:
    publisher, client = a_publisher(), Client(keys=(CLIENT[0], OTHER[1]))
    welcome, _ = publisher.take(client.hello())
    with pytest.raises(ProtocolError, match="uses no keys"):
        publisher.take(client.initiate(content(welcome)))


def test_a_client_with_the_key_of_another_monitor_is_refused() -> None:
    with pytest.raises(ProtocolError, match="public key of another monitor"):
        a_publisher().take(Client(server=OTHER[0]).hello())


def test_a_handshake_of_another_connection_cannot_be_repeated() -> None:
    first, client = a_publisher(), Client()
    hello = client.hello()
    initiate = client.initiate(content(first.take(hello)[0]))
    first.take(initiate)
    second = a_publisher()
    second.take(hello)
    with pytest.raises(ProtocolError):
        second.take(initiate)


def test_a_frame_cannot_be_repeated_or_changed() -> None:
    publisher, client = connected()
    message = client.message(b"\0\1alert/")
    publisher.open(message)
    with pytest.raises(ProtocolError, match="cannot be decrypted"):
        publisher.open(message)
    later = bytearray(client.message(b"\0\1alert/").content)
    later[-1] ^= 1
    with pytest.raises(ProtocolError, match="cannot be decrypted"):
        publisher.open(Frame(bytes(later)))


commands = st.binary(max_size=300) | st.builds(
    lambda name, body: encode_command(name, body),
    st.sampled_from(["HELLO", "INITIATE", "READY", "MESSAGE"]),
    st.binary(max_size=300),
)


@given(st.lists(commands, max_size=4), st.booleans())
def test_arbitrary_commands_are_refused(sent: list[bytes], greeted: bool) -> None:
    publisher, client = a_publisher(), Client()
    if greeted:
        publisher.take(client.hello())
    for command in sent:
        with pytest.raises(ProtocolError):
            publisher.take(command)


@given(commands)
def test_arbitrary_frames_after_the_handshake_are_refused(sent: bytes) -> None:
    publisher, _ = connected()
    with pytest.raises(ProtocolError):
        publisher.open(Frame(sent))


@given(commands)
def test_without_keys_arbitrary_commands_are_read_or_refused(sent: bytes) -> None:
    with suppress(ProtocolError):
        NullMechanism(PROPERTIES).take(sent)


def test_points_of_low_order_are_refused() -> None:
    client = Client()
    forged = bytearray(client.hello())
    forged[6 + 74 : 6 + 106] = bytes(32)
    with pytest.raises(ProtocolError):
        a_publisher().take(bytes(forged))
    assert split_command(bytes(forged))[0] == b"HELLO"
