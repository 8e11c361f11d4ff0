"""The socket that the page is served at, and its URL."""

from __future__ import annotations

import socket

from monitor.errors import BindError
from monitor.text.outside import safe
from monitor.web.web_settings import shown_host

_BACKLOG = 64
_DEAD_AFTER_MS = 20_000
"""A viewer that takes nothing for this long is disconnected by the system."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 takes any free port. Raises BindError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        made = socket.socket(found[0][0], socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # Connections inherit it. Without it, a viewer whose machine is gone is kept for a quarter of an hour.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
            made.bind(found[0][4])
            made.listen(_BACKLOG)
        except BaseException:
            made.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = safe(getattr(error, "strerror", None) or error)
        raise BindError(
            f"the page cannot be served at {shown_host(host)}:{port} ({reason}): choose another address with "
            "--web-listen or [web] listen"
        ) from error
    return made


def url_of(listening: socket.socket, host: str, *, tls: bool) -> str:
    """The URL of the page, ``http://127.0.0.1:8088``."""
    return f"{'https' if tls else 'http'}://{shown_host(host)}:{listening.getsockname()[1]}"
