from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.bus.mechanisms import NullMechanism
from monitor.alerts.bus.peer import MAX_QUEUED_BYTES, Outgoing, Peer
from monitor.alerts.bus.roles import MAX_SUBSCRIPTIONS, MAX_TOPIC_BYTES, MAX_TOPICS_BYTES, Requester, Subscriber
from monitor.alerts.bus.zmtp import Frame, FrameReader, ProtocolError, encode_command, encode_frame
from tests.helpers.raw_peer import hello, subscription


def a_subscriber(room: int = 10) -> Subscriber:
    peer = Subscriber("here", NullMechanism({"Socket-Type": b"XPUB"}), room)
    peer.take(hello())
    drain(peer)
    return peer


def a_requester() -> Requester:
    peer = Requester("here", NullMechanism({"Socket-Type": b"ROUTER"}), 1)
    drain(peer)
    peer.take(hello("DEALER"))
    drain(peer)
    return peer


def drain(peer: Peer) -> bytes:
    """Send all that waits."""
    data = b""
    while peer.unsent:
        data += bytes(peer.unsent)
        peer.sent(len(peer.unsent))
    return data


def frames(data: bytes) -> list[Frame]:
    reader = FrameReader(10**8)
    reader.feed(data)
    return list(iter(reader.next_frame, None))


def test_a_topic_is_wanted_between_subscription_and_its_end() -> None:
    peer = a_subscriber()
    assert not peer.wants(b"alert/cam1/")
    peer.take(subscription(b"alert/") + subscription(b"alert/"))
    assert peer.wants(b"alert/cam1/")
    assert not peer.wants(b"health/cam1/")
    peer.take(encode_frame(b"\x00alert/") + encode_frame(b"\x00never/"))
    assert not peer.wants(b"alert/cam1/")


def test_subscriptions_of_the_newer_protocol_are_understood() -> None:
    peer = a_subscriber()
    peer.take(encode_frame(encode_command("SUBSCRIBE", b"alert/"), command=True))
    assert peer.wants(b"alert/cam1/")
    peer.take(encode_frame(encode_command("CANCEL", b"alert/"), command=True))
    assert not peer.wants(b"alert/cam1/")


def test_only_the_first_part_of_a_message_subscribes() -> None:
    peer = a_subscriber()
    peer.take(encode_frame(b"hello", more=True) + encode_frame(b"\x01alert/"))
    assert not peer.subscriptions


@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        ([b"x" * (MAX_TOPIC_BYTES + 1)], "a topic of more than 1024 bytes"),
        ([b"%d/" % number for number in range(MAX_SUBSCRIPTIONS + 1)], "more than 1024 topics"),
        (
            [b"%d".ljust(1000, b"x") % number for number in range(MAX_TOPICS_BYTES // 1000 + 1)],
            "more than 131072 bytes",
        ),
    ],
)
def test_subscriptions_have_limits(topics: list[bytes], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        a_subscriber().take(b"".join(map(subscription, topics)))


def test_toggling_needs_no_memory() -> None:
    peer = a_subscriber()
    for _ in range(3 * MAX_SUBSCRIPTIONS):
        peer.take(subscription(b"x" * 1000) + encode_frame(b"\x00" + b"x" * 1000))
    assert not peer.subscriptions


def test_a_full_queue_loses_the_newest_and_what_is_queued_is_sent_whole() -> None:
    peer = a_subscriber(room=3)
    taken = [peer.offer(Outgoing([b"topic", b"%d" % number])) for number in range(5)]
    assert taken == [True, True, True, False, False]
    assert peer.queued_bytes == 18
    sent = [(frame.content, frame.more) for frame in frames(drain(peer))]
    assert sent == [part for number in (b"0", b"1", b"2") for part in ((b"topic", True), (number, False))]
    assert peer.queued_bytes == 0


def test_a_queue_is_full_by_bytes_but_takes_one_message_of_any_size() -> None:
    peer = a_subscriber(room=1000)
    assert peer.offer(Outgoing([bytes(MAX_QUEUED_BYTES + 1)]))
    assert not peer.offer(Outgoing([b"x"]))


def test_a_ping_is_answered_and_many_pings_with_few_answers() -> None:
    peer = a_subscriber()
    ping = encode_frame(encode_command("PING", b"\0\x96context"), command=True)
    peer.take(ping)
    assert frames(drain(peer)) == [Frame(b"\x04PONGcontext", command=True)]
    for _ in range(100):
        peer.take(ping * 100)
    assert len(drain(peer)) < 5000


def test_a_requester_waits_for_each_reply_before_its_next_request_is_read() -> None:
    peer = a_requester()
    peer.take(encode_frame(b"first") + encode_frame(b"", more=True) + encode_frame(b"second"))
    assert (peer.request, peer.waits) == (b"first", True)
    peer.request, peer.answering = None, True
    peer.reply([b"head", b"body"])
    assert peer.waits
    assert [frame.content for frame in frames(drain(peer))] == [b"head", b"body"]
    assert not peer.waits
    peer.go_on()
    assert peer.request == b"second"
    peer.request, peer.answering = None, True
    peer.reply([b"head"])
    assert [frame.content for frame in frames(drain(peer))] == [b"", b"head"]


def test_a_request_has_a_limit_of_parts_and_bytes() -> None:
    with pytest.raises(ProtocolError, match="too many parts"):
        a_requester().take(encode_frame(b"", more=True) * 5)
    with pytest.raises(ProtocolError, match="too many parts or bytes"):
        a_requester().take(encode_frame(bytes(60_000), more=True) * 2)


@pytest.mark.parametrize("kind", ["PUB", "PULL", "DEALER", ""])
def test_a_socket_of_the_wrong_type_is_refused(kind: str) -> None:
    peer = Subscriber("here", NullMechanism({}), 1)
    with pytest.raises(ProtocolError, match="use SUB or XSUB"):
        peer.take(hello(kind))


@pytest.mark.parametrize("make", [a_subscriber, a_requester])
@given(data=st.lists(st.binary(max_size=60) | st.binary(max_size=20).map(encode_frame), max_size=6))
def test_arbitrary_bytes_are_handled_or_refused(make: type[Peer], data: list[bytes]) -> None:
    peer = make()  # type: ignore[call-arg]
    with suppress(ProtocolError):
        for piece in data:
            peer.take(piece)
