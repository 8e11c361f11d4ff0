"""How sockets are bound: with bounded queues, encrypted if there are keys, never over a file, never open unasked."""

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
"""How long closing may take to get the last messages to subscribers."""
_DEAD_PEER_MS = 15_000
_MAX_INCOMING_BYTES = 65_536
"""Subscribers send nothing but short subscriptions and requests."""

_BIND_ADVICE = {
    errno.EADDRINUSE: "is in use: stop the program that holds it, perhaps another monitor, or choose another port",
    errno.EADDRNOTAVAIL: "is no address of this machine: use one that it has, such as 127.0.0.1",
    errno.ENODEV: "is no address of this machine: use one that it has, such as 127.0.0.1",
    errno.EACCES: "may not be used by this user: choose a port above 1023, or a path that can be written to",
    errno.ENOENT: "lies in a folder that does not exist: make the folder or choose another path",
    errno.ENAMETOOLONG: "is too long a path: choose one of at most 107 characters",
}


def bind(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, high_water_mark: int, keys: ServerKeys | None
) -> zmq.Socket[bytes]:
    """A bound socket that holds ``high_water_mark`` messages for each peer. Raises BindError."""
    binding = context.socket(kind)
    binding.sndhwm = binding.rcvhwm = high_water_mark
    binding.linger = LINGER_MS
    binding.ipv6 = "[" in endpoint
    binding.maxmsgsize = _MAX_INCOMING_BYTES
    # A subscriber whose machine vanished must not keep its queue for hours, as TCP alone would.
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
    """Whether other machines can reach an address."""
    if endpoint.startswith("ipc://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return host != "localhost" and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def check_exposure(endpoint: str, *, closed: bool) -> None:
    """Raise ConfigError for an address that other machines can reach, unless it needs keys or the user said so."""
    if is_exposed(endpoint) and not closed:
        raise ConfigError(
            f"{endpoint} is open to other machines, and alerts go over it unencrypted to whoever connects: "
            f"make keys with `{python_command('-m monitor.client keys keys')}` and set "
            'keys = "keys/monitor" under [publish], '
            "or use 127.0.0.1, or set insecure = true if every machine on that network may read them"
        )


def _check_ipc_is_free(endpoint: str) -> None:
    """Raise BindError where a path is taken: ZeroMQ would delete whatever file it finds there."""
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
