"""The sockets of the client: what a monitor, or what calls itself one, can make them do."""

from __future__ import annotations

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from monitor.client.connection import MAX_PART_BYTES, history_endpoint, new_socket
from monitor.errors import ConfigError


@pytest.mark.parametrize(
    ("alerts", "announced", "expected"),
    [
        ("tcp://camera-room:5560", "tcp://127.0.0.1:5562", "tcp://camera-room:5562"),
        ("tcp://camera-room:5560", "tcp://elsewhere:5562", "tcp://camera-room:5562"),
        ("tcp://[::1]:5560", "tcp://[::]:5562", "tcp://[::1]:5562"),
        ("ipc:///run/sight/alerts", "ipc:///run/sight/history", "ipc:///run/sight/history"),
        ("ipc://@alerts", "ipc://@history", "ipc://@history"),
        ("ipc:///run/sight/alerts", "tcp://elsewhere:5562", "tcp://127.0.0.1:5562"),
    ],
)
def test_the_history_is_where_the_user_s_address_is(alerts: str, announced: str, expected: str) -> None:
    assert history_endpoint(alerts, announced) == expected


@pytest.mark.parametrize(
    ("alerts", "announced"),
    [
        ("tcp://camera-room:5560", "ipc:///run/sight/history"),
        ("tcp://camera-room:5560", "ipc://@history"),
        ("ipc:///run/sight/alerts", "ipc:///run/docker.sock"),
        ("ipc:///run/sight/alerts", "ipc:///run/sight/../docker.sock"),
        ("ipc:///run/sight/alerts", "ipc:///run/sight/other/socket"),
        ("ipc:///run/sight/alerts", "inproc://x"),
        ("ipc:///run/sight/alerts", "pgm://eth0;224.0.0.1:5555"),
        ("tcp://camera-room:5560", ""),
    ],
)
def test_a_publisher_cannot_lead_the_client_to_a_path(alerts: str, announced: str) -> None:
    with pytest.raises(ConfigError, match=r"does not go by itself: give its address.*--history-endpoint"):
        history_endpoint(alerts, announced)


@given(st.sampled_from(["tcp://room:5560", "ipc:///run/sight/alerts"]), st.text(max_size=30), st.booleans())
def test_whatever_is_announced_the_client_stays_where_it_is(alerts: str, text: str, tcp: bool) -> None:
    try:
        found = history_endpoint(alerts, f"tcp://{text}" if tcp else text)
    except ConfigError:
        return
    assert found.startswith(("tcp://room:", "tcp://127.0.0.1:", "ipc:///run/sight/"))


def test_a_socket_sends_no_heartbeat_that_could_abort_the_process_and_takes_no_endless_part() -> None:
    with zmq.Context() as context, new_socket(context, zmq.SUB, None) as made:
        assert made.heartbeat_ivl == 0
        assert made.maxmsgsize == MAX_PART_BYTES
        assert made.tcp_keepalive == 1
