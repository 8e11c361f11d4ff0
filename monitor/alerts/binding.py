"""Binds the ZeroMQ sockets: bounded queues, encryption if there are keys.

A bind never overwrites a file. It opens a socket to other machines only if the user allows it.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import stat
from pathlib import Path

import zmq

from monitor.alerts.keys import ServerKeys
from monitor.errors import BindError, ConfigError
from monitor.text.commands import python_command

LINGER_MS = 500
"""Closing a socket waits at most this long for the last messages to reach subscribers, milliseconds."""
_DEAD_PEER_MS = 15_000
_MAX_INCOMING_BYTES = 65_536
"""Subscribers send only short subscriptions and requests."""

_BIND_ADVICE = {
    errno.EADDRINUSE: "is in use: stop the program that uses it, which may be another monitor, or choose another port "
    "(--alerts, --scores, --history)",
    errno.EADDRNOTAVAIL: "is not an address of this machine: use one of its addresses, such as 127.0.0.1",
    errno.ENODEV: "is not an address of this machine: use one of its addresses, such as 127.0.0.1",
    errno.EACCES: "is not allowed for this user: choose a port above 1023, or a path that this user can write to",
    errno.ENOENT: "is in a folder that does not exist: create the folder or choose another path",
    errno.ENAMETOOLONG: "is too long: choose a path of at most 107 characters",
}


def bind(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, high_water_mark: int, keys: ServerKeys | None
) -> zmq.Socket[bytes]:
    """Return a bound socket that queues up to ``high_water_mark`` messages per peer. Raises BindError."""
    binding = context.socket(kind)
    binding.sndhwm = binding.rcvhwm = high_water_mark
    binding.linger = LINGER_MS
    binding.ipv6 = "[" in endpoint
    binding.maxmsgsize = _MAX_INCOMING_BYTES
    # TCP alone would keep the queue of a vanished subscriber for hours. Heartbeats free it after seconds.
    binding.heartbeat_ivl = _DEAD_PEER_MS // 3
    binding.heartbeat_timeout = _DEAD_PEER_MS
    if keys is not None:
        keys.apply(binding)
    if endpoint.startswith("ipc://"):
        _check_ipc_is_free(endpoint)
    try:
        binding.bind(endpoint)
    except zmq.ZMQError as error:
        advice = _BIND_ADVICE.get(error.errno or 0, f"cannot be bound ({error.strerror}): choose another address")
        raise BindError(f"{endpoint} {advice}") from error
    return binding


def is_exposed(endpoint: str) -> bool:
    """Return True if other machines can reach this address."""
    if endpoint.startswith("ipc://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return host != "localhost" and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def check_exposure(endpoint: str, *, closed: bool) -> None:
    """Raise ConfigError if other machines can reach this address and ``closed`` is False.

    closed  True if clients need keys, or if the user has allowed an open address
    """
    if is_exposed(endpoint) and not closed:
        raise ConfigError(
            f"{endpoint} is open to other machines, and any client there can read the alerts unencrypted: "
            f"make keys with `{python_command('-m monitor.client keys keys')}` and set "
            'keys = "keys/monitor" under [publish], '
            "or use 127.0.0.1, or set insecure = true if every machine on that network may read the alerts"
        )


def _check_ipc_is_free(endpoint: str) -> None:
    """Raise BindError if the path is in use. Without this check, ZeroMQ deletes any file at that path."""
    path = Path(endpoint.removeprefix("ipc://"))
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"{endpoint} would overwrite a file: choose a path that does not exist")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise BindError(f"{endpoint} {_BIND_ADVICE[errno.EADDRINUSE]}".replace("port", "path"))
