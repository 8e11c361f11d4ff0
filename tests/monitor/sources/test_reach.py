import socket

import pytest

from monitor.sources.reach import Barrier, find_barrier, why_unreachable


def test_a_camera_that_takes_connections_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"rtsp://admin:secret@127.0.0.1:{server.getsockname()[1]}/x"
        assert find_barrier(address) is None
        assert why_unreachable(address) is None


@pytest.mark.parametrize(
    ("address", "barrier", "sentence"),
    [
        ("rtsp://admin:secret@127.0.0.1:9/x", Barrier.REFUSED, "127.0.0.1 refuses connections on port 9"),
        ("http://nobody.invalid/x", Barrier.UNKNOWN_HOST, "the host name nobody.invalid is unknown"),
        ("rtsp://admin:9?secret@127.0.0.1:9/x", Barrier.REFUSED, "127.0.0.1 refuses connections on port 9"),
    ],
)
def test_why_no_connection_comes_about(address: str, barrier: Barrier, sentence: str) -> None:
    assert find_barrier(address) == (barrier, "")
    assert why_unreachable(address) == sentence


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:port/x", "rtsp:///x"])
def test_of_an_address_that_cannot_be_understood_nothing_is_said(address: str) -> None:
    assert why_unreachable(address) is None
