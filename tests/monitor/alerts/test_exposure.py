"""Which addresses count as open to other machines."""

from __future__ import annotations

import socket

import pytest

from monitor.alerts.binding import check_exposure, is_exposed
from monitor.errors import ConfigError


@pytest.mark.parametrize(
    ("endpoint", "exposed"),
    [
        ("ipc:///run/alerts", False),
        ("tcp://127.0.0.1:5560", False),
        ("tcp://127.9.9.9:5560", False),
        ("tcp://[::1]:5560", False),
        ("tcp://*:5560", True),
        ("tcp://0.0.0.0:5560", True),
        ("tcp://[::]:5560", True),
        ("tcp://192.168.1.2:5560", True),
        ("tcp://eth0:5560", True),
        ("tcp://127.0.0.1.example.com:5560", True),
        ("tcp://localhost.example.com:5560", True),
    ],
)
def test_only_loopback_is_closed(endpoint: str, exposed: bool) -> None:
    assert is_exposed(endpoint) is exposed


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
@pytest.mark.parametrize(
    ("addresses", "exposed"),
    [(["127.0.0.1"], False), (["::1", "127.0.0.1"], False), (["192.168.1.2"], True), (["127.0.0.1", "10.0.0.1"], True)],
)
def test_localhost_is_trusted_only_for_what_it_means_here(
    monkeypatch: pytest.MonkeyPatch, host: str, addresses: list[str], exposed: bool
) -> None:
    def looked_up(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    assert is_exposed(f"tcp://{host}:5560") is exposed


def test_localhost_that_means_nothing_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match=r"use 127\.0\.0\.1"):
        check_exposure("tcp://localhost:5560", closed=False)
