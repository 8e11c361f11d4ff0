"""Binds the addresses of the bus. A bind never overwrites a file, and opens to other machines only if the user allows.

Addresses are those of ZeroMQ: ``tcp://host:port`` (host ``*``: every address of this machine; port ``*`` or 0: any free
port), ``ipc://path``, and ``ipc://@name`` for a name that is not in the file system (Linux).
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import BindError, ConfigError
from monitor.text.commands import client_command

_BACKLOG = 100
_GET_ADDRESS = 0x8915  # SIOCGIFADDR

_BIND_ADVICE = {
    errno.EADDRINUSE: "is in use: stop the program that uses it, which may be another monitor, or choose other ports, "
    "such as --alerts tcp://127.0.0.1:5570 --scores tcp://127.0.0.1:5571 --history tcp://127.0.0.1:5572",
    errno.EADDRNOTAVAIL: "is not an address of this machine: use one of its addresses, such as 127.0.0.1",
    errno.ENODEV: "is not an address of this machine: use one of its addresses, such as 127.0.0.1",
    errno.EACCES: "is not allowed for this user: choose a port above 1023, or a path that this user can write to",
    errno.ENOENT: "is in a folder that does not exist: create the folder or choose another path",
    errno.ENAMETOOLONG: "is too long: choose a path of at most 107 characters",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket that listens. ``endpoint`` is its actual address, with the number of its port.

    inode  of the file of an ``ipc://`` address; None without a file
    """

    socket: socket.socket
    endpoint: str
    inode: int | None = None

    def close(self) -> None:
        """Close the socket, and remove its file unless another program has replaced it."""
        self.socket.close()
        path = Path(self.endpoint.removeprefix("ipc://"))
        with suppress(OSError):
            if self.inode is not None and path.stat().st_ino == self.inode:
                path.unlink()


def listen(endpoint: str) -> Listener:
    """Bind a well-formed address, and listen on it without blocking. Raises BindError."""
    try:
        return _listen_ipc(endpoint) if endpoint.startswith("ipc://") else _listen_tcp(endpoint)
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _BIND_ADVICE.get(error.errno or 0, f"cannot be bound ({reason}): choose another address")
        raise BindError(f"{endpoint} {advice}") from error


def _listen_tcp(endpoint: str) -> Listener:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    host, number = host.strip("[]"), 0 if port == "*" else int(port)
    try:
        family, *_, address = socket.getaddrinfo(
            "0.0.0.0" if host == "*" else _address_of_interface(host) or host,  # noqa: S104 - check_exposure decides
            number,
            type=socket.SOCK_STREAM,
            family=socket.AF_INET6 if "[" in endpoint else socket.AF_INET,
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(errno.EADDRNOTAVAIL, "no such address") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and address[0] == "::":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    bound, actual = listening.getsockname()[:2]
    return Listener(listening, f"tcp://[{bound}]:{actual}" if ":" in bound else f"tcp://{bound}:{actual}")


def _address_of_interface(name: str) -> str | None:
    """Return the IPv4 address of a network interface such as ``eth0``; None if there is no such interface."""
    if name not in (interface for _, interface in socket.if_nameindex()):
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, _GET_ADDRESS, struct.pack("256s", name.encode()))
    return socket.inet_ntoa(answer[20:24])


def _listen_ipc(endpoint: str) -> Listener:
    name = endpoint.removeprefix("ipc://")
    if name == "*":
        raise BindError(f"{endpoint} has no path: choose a path that does not exist, such as ipc:///run/alerts")
    path = None if name.startswith("@") else Path(name)
    if path is not None:
        _free_path(endpoint, path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listening.bind(name if path is not None else "\0" + name[1:])
        except OSError as error:
            # Python raises this one error without a number.
            raise error if error.errno else OSError(errno.ENAMETOOLONG, str(error)) from error
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        return Listener(listening, endpoint, None if path is None else path.stat().st_ino)
    except BaseException:
        listening.close()
        raise


def is_exposed(endpoint: str) -> bool:
    """Return True if other machines can reach this address.

    ``localhost`` is looked up, because a changed hosts file can make it any address. Other names count as reachable.
    """
    if endpoint.startswith("ipc://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        found = [host]
        if host.lower().rstrip(".") == "localhost":
            found = [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        return not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)
    except (OSError, ValueError):
        return True


def check_exposure(endpoint: str, *, closed: bool) -> None:
    """Raise ConfigError if other machines can reach this address and ``closed`` is False.

    closed  True if clients need keys, or if the user has allowed an open address
    """
    if is_exposed(endpoint) and not closed:
        raise ConfigError(
            f"{endpoint} is open to other machines, and any client there can read the alerts unencrypted: "
            f"make keys with `{client_command('keys keys')}` and set "
            'keys = "keys/monitor" under [publish], '
            "or use 127.0.0.1, or set insecure = true if every machine on that network may read the alerts"
        )


def _free_path(endpoint: str, path: Path) -> None:
    """Remove the socket that a dead program left at the path. Raises BindError if the path is in use otherwise."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"{endpoint} would overwrite a file: choose a path that does not exist")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # EAGAIN: a program listens there, and its queue of connections is full.
        if probe.connect_ex(str(path)) in (0, errno.EAGAIN):
            raise BindError(f"{endpoint} {_BIND_ADVICE[errno.EADDRINUSE]}".replace("port", "path"))
    path.unlink()
