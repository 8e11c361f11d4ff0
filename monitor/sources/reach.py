"""Finds out why a network camera cannot be reached: it connects to the camera's port, without logging in."""

from __future__ import annotations

import socket
from enum import StrEnum

from monitor.sources.proxy import proxy_of
from monitor.text.addresses import shown_address

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Default port for each scheme, for addresses without a port."""
_CONNECT_S = 1.5


class Barrier(StrEnum):
    """Why no connection is possible."""

    UNKNOWN_HOST = "unknown-host"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    PROXY = "proxy"


SENTENCES = {
    Barrier.UNKNOWN_HOST: "the host name {host} is unknown",
    Barrier.UNREACHABLE: "{host} cannot be reached: {detail}",
    Barrier.NO_ANSWER: "{host} does not answer on port {port}",
    Barrier.REFUSED: "{host} refuses connections on port {port}",
    Barrier.PROXY: "the proxy {detail} of http_proxy cannot be reached",
}
"""The sentence for each barrier. {host}, {port} and the system's message, {detail}, are filled in."""


def find_barrier(url: str) -> tuple[Barrier, str] | None:
    """What prevents a connection to a camera, and the system's message; None if a connection is possible.

    If the camera is asked through a proxy, only the connection to the proxy is tried.

    Takes at most 1.5 s for each IP address of the host, plus the time of the name lookup.
    """
    if (proxy := proxy_of(url)) is not None:
        try:
            socket.create_connection(proxy, _CONNECT_S).close()
        except OSError:
            return Barrier.PROXY, f"{proxy[0]}:{proxy[1]}"
        return None
    try:
        host, port = _host_and_port(url)
        if host:
            socket.create_connection((host, port), _CONNECT_S).close()
    except socket.gaierror:
        return Barrier.UNKNOWN_HOST, ""
    except ConnectionRefusedError:
        return Barrier.REFUSED, ""
    except TimeoutError:
        return Barrier.NO_ANSWER, ""
    except OSError as error:
        return Barrier.UNREACHABLE, error.strerror or ""
    except ValueError:  # an address that cannot be parsed
        pass
    return None


def why_unreachable(url: str) -> str | None:
    """The barrier as a sentence without passwords; None if a connection is possible."""
    found = find_barrier(url)
    if found is None:
        return None
    host, port = _host_and_port(url)
    return SENTENCES[found[0]].format(host=host, port=port, detail=found[1])


def _host_and_port(url: str) -> tuple[str, int]:
    """Host and port. Raises ValueError if it is uncertain what is the host: a password may look like one."""
    scheme, _, rest = url.partition("://")
    shown = shown_address(f"{scheme}://", rest)
    if shown.host is None:
        raise ValueError("no host")
    port = int(shown.port) if shown.port.isdecimal() else PORTS.get(scheme.lower(), 0)
    if not 0 < port < 65536:
        raise ValueError("no port")
    return shown.host.strip("[]"), port
