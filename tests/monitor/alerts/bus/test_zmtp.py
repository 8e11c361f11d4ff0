from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.bus.zmtp import (
    Frame,
    FrameReader,
    ProtocolError,
    check_greeting,
    decode_properties,
    encode_frame,
    encode_properties,
    greeting,
    split_command,
)

frames = st.builds(Frame, st.binary(max_size=600), more=st.booleans()) | st.builds(
    Frame, st.binary(max_size=300), command=st.just(True)
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def read(reader: FrameReader, data: list[bytes]) -> list[Frame]:
    found = []
    for piece in data:
        reader.feed(piece)
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    return found


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_arrive_whole_however_they_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    data = b"".join(encode_frame(frame.content, more=frame.more, command=frame.command) for frame in sent)
    assert read(FrameReader(1000), pieces(data, cuts)) == sent


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_arbitrary_bytes_are_frames_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    with suppress(ProtocolError):
        read(FrameReader(100), pieces(data, cuts))


def test_a_part_that_is_too_large_is_refused_before_it_comes() -> None:
    reader = FrameReader(100)
    reader.feed(encode_frame(bytes(101))[:9])
    with pytest.raises(ProtocolError, match="a part of more than 100 bytes"):
        reader.next_frame()
    reader = FrameReader(100)
    reader.feed(b"\x02" + b"\xff" * 8)
    with pytest.raises(ProtocolError, match="a part of more than 100 bytes"):
        reader.next_frame()


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "not a ZeroMQ program"),
        (b"\x16\x03\x01", "not a ZeroMQ program"),
        (b"\xff\0\0\0\0\0\0\0\0\0", "not a ZeroMQ program"),
        (greeting("NULL")[:10] + b"\x01", "before version 4.0"),
        (greeting("CURVE"), "it uses keys, but this monitor has none"),
        (greeting("PLAIN"), "it uses keys, but this monitor has none"),
    ],
)
def test_a_wrong_greeting_is_refused_with_the_reason(received: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        check_greeting(received, "NULL")


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_the_beginning_of_a_good_greeting_is_not_refused(mechanism: str) -> None:
    for length in range(65):
        check_greeting(greeting(mechanism)[:length], mechanism)


names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)


@given(st.dictionaries(names, st.binary(max_size=50), max_size=5))
def test_properties_arrive_as_they_were_sent(properties: dict[str, bytes]) -> None:
    assert decode_properties(encode_properties(properties)) == properties


@given(st.binary(max_size=60))
def test_arbitrary_properties_and_commands_are_read_or_refused(content: bytes) -> None:
    for decode in (decode_properties, split_command):
        with suppress(ProtocolError):
            decode(content)
