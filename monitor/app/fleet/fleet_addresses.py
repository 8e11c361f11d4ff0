"""The addresses of a head: HOST:PORT for the gateway, the next port for the coordinator, then the store."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from monitor.errors import UsageError

JOIN_PORT = 5580
"""Where nodes reach the gateway of a head, unless another port is given."""
_LAST_PORT = 65533  # two more follow
_EVERYWHERE = ("*", "0.0.0.0")  # noqa: S104 - what a user may write


@dataclass(frozen=True, slots=True)
class HeadAddress:
    """Where a head is."""

    host: str
    port: int = JOIN_PORT

    @property
    def gateway(self) -> str:
        """The address of the gateway, for nodes."""
        return f"tcp://{self.host}:{self.port}"

    @property
    def coordinator(self) -> str:
        """The address of the coordinator, for nodes and people."""
        return f"tcp://{self.host}:{self.port + 1}"

    @property
    def store(self) -> str:
        """The address of the store, for nodes."""
        return f"tcp://{self.host}:{self.port + 2}"

    @property
    def from_here(self) -> HeadAddress:
        """The address for programs of the machine of the head."""
        return HeadAddress("127.0.0.1", self.port) if self.host in _EVERYWHERE else self

    @property
    def to_join(self) -> str:
        """What a node gives as ``--head``."""
        host = socket.gethostname() if self.host in _EVERYWHERE else self.host
        return host if self.port == JOIN_PORT else f"{host}:{self.port}"


def parsed_address(text: str, flag: str) -> HeadAddress:
    """``HOST`` or ``HOST:PORT``. Raises UsageError, which names the flag."""
    host, colon, port = text.strip().partition(":")
    advice = f"write HOST or HOST:PORT, such as 192.168.1.10 or 192.168.1.10:{JOIN_PORT}"
    if not host or not host.isprintable() or " " in host or "/" in text or ":" in port:
        raise UsageError(f"{flag}: {text!r} is no address of a head: {advice}")
    if not colon:
        return HeadAddress(host)
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= _LAST_PORT):
        raise UsageError(f"{flag}: {port!r} is no port from 1 to {_LAST_PORT}: {advice}")
    return HeadAddress(host, int(port))
