"""The addresses that can be bound, each with a client of a ZeroMQ library."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import zmq

from monitor.alerts.binding import listen
from monitor.alerts.publisher import Publisher
from monitor.errors import BindError
from tests.helpers.publishing import ANY, DEADLINE_S, await_subscriptions, publish_alert


def reached(publisher: Publisher, endpoint: str) -> bool:
    """Connect to the alerts at this address and receive one."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.ipv6 = "[" in endpoint
        sub.subscribe("alert/")
        sub.connect(endpoint)
        await_subscriptions(publisher, "alert/")
        publish_alert(publisher)
        return bool(sub.poll(int(DEADLINE_S * 1000)))


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "*", "0.0.0.0", "lo"])  # noqa: S104
def test_every_form_of_an_ipv4_address_is_bound(host: str) -> None:
    with Publisher(f"tcp://{host}:*", ANY, insecure=True) as publisher:
        port = publisher.alerts_endpoint.rpartition(":")[2]
        assert reached(publisher, f"tcp://127.0.0.1:{port}")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_ipv6_addresses_are_bound(host: str) -> None:
    with Publisher(f"tcp://{host}:0", ANY, insecure=True) as publisher:
        assert publisher.alerts_endpoint.startswith(f"tcp://{host}:")
        port = publisher.alerts_endpoint.rpartition(":")[2]
        assert reached(publisher, f"tcp://[::1]:{port}")


def test_a_name_without_a_file_is_bound() -> None:
    endpoint = "ipc://@true-sight-test-of-binding"
    with Publisher(endpoint, ANY) as publisher:
        assert reached(publisher, endpoint)
        with pytest.raises(BindError, match="is in use"):
            listen(endpoint)


def test_the_socket_of_a_dead_monitor_is_replaced_and_one_s_own_is_removed(tmp_path: Path) -> None:
    endpoint, path = f"ipc://{tmp_path}/alerts", tmp_path / "alerts"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Publisher(endpoint, ANY) as publisher:
        assert reached(publisher, endpoint)
    assert not path.exists()


def test_what_another_program_has_put_at_the_path_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    bound = listen(f"ipc://{path}")
    path.unlink()
    path.write_text("of another program")
    bound.close()
    assert path.read_text() == "of another program"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("tcp://192.0.2.1:5560", "is not an address of this machine"),
        ("tcp://[fe80::1%nowhere]:5560", "is not an address of this machine"),
        ("tcp://" + "x" * 300 + ":5560", "is not an address of this machine"),
        ("ipc://" + "x" * 200, "is too long"),
        ("ipc:///no/such/folder/alerts", "is in a folder that does not exist"),
        ("ipc://*", "has no path"),
        ("ipc:///tmp", "would overwrite a file"),
    ],
)
def test_an_address_that_cannot_be_bound_is_one_sentence(endpoint: str, reason: str) -> None:
    with pytest.raises(BindError, match=reason):
        listen(endpoint)
