"""The addresses of a monitor: the usual ones, and what an address has to look like."""

from __future__ import annotations

from monitor.errors import ConfigError

DEFAULT_ALERTS_ENDPOINT = "tcp://127.0.0.1:5560"
DEFAULT_SCORES_ENDPOINT = "tcp://127.0.0.1:5561"
DEFAULT_HISTORY_ENDPOINT = "tcp://127.0.0.1:5562"
DEFAULT_CONTROL_ENDPOINT = "tcp://127.0.0.1:5563"
_BESIDE = 3


def check_endpoint(endpoint: str) -> None:
    """Raise ConfigError unless this is an address of the form ``tcp://host:port`` or ``ipc://path``."""
    transport, _, rest = endpoint.partition("://")
    if transport == "tcp":
        host, _, port = rest.rpartition(":")
        # ZeroMQ accepts port 99999 and silently uses another port.
        good = bool(host) and (port == "*" or (port.isascii() and port.isdigit() and int(port) <= 65535))
    else:
        good = transport == "ipc" and bool(rest)
    if not good or not endpoint.isprintable():
        raise ConfigError(
            f"{endpoint!r} is not an address: write one with host and port, such as "
            f"{DEFAULT_ALERTS_ENDPOINT}, or ipc://PATH for programs on this machine"
        )


def control_beside(alerts: str) -> str:
    """The usual control address of a monitor with this alerts address: port 5560 -> 5563, PATH -> PATH-control."""
    return _beside(alerts, _BESIDE, "control")


def scores_beside(alerts: str) -> str:
    """The usual scores address of a monitor with this alerts address: port 5560 -> 5561, PATH -> PATH-scores."""
    return _beside(alerts, 1, "scores")


def _beside(alerts: str, further: int, what: str) -> str:
    transport, _, rest = alerts.partition("://")
    if transport != "tcp":
        return f"{alerts}-{what}"
    host, _, port = rest.rpartition(":")
    return f"tcp://{host}:{'*' if port in ('*', '0') else (int(port) + further) % 65_536 or '*'}"
