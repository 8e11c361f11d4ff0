"""Why a camera on the network cannot be reached: what connecting to its port tells, without logging in."""

from __future__ import annotations

import socket
from enum import StrEnum
from urllib.parse import urlsplit

from monitor.text.redaction import redact

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Where a camera listens if its address does not say."""
_CONNECT_S = 1.5


class Barrier(StrEnum):
    """Why no connection comes about."""

    UNKNOWN_HOST = "unknown-host"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"


SENTENCES = {
    Barrier.UNKNOWN_HOST: "no machine is known as {host}",
    Barrier.UNREACHABLE: "{host} cannot be reached: {detail}",
    Barrier.NO_ANSWER: "{host} does not answer on port {port}",
    Barrier.REFUSED: "{host} refuses connections on port {port}",
}
"""What each is in words; {host}, {port} and what the system said, {detail}, are filled in."""


def find_barrier(url: str) -> tuple[Barrier, str] | None:
    """What keeps a connection to a camera from coming about, and what the system said; None if nothing does.

    Takes 1.5 s at most for each address that the host's name stands for, and the time to look that up.
    """
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
    except ValueError:  # an address that cannot be taken apart
        pass
    return None


def why_unreachable(url: str) -> str | None:
    """The same in words that hold no password."""
    found = find_barrier(url)
    if found is None:
        return None
    host, port = _host_and_port(url)
    return SENTENCES[found[0]].format(host=host, port=port, detail=found[1])


def _host_and_port(url: str) -> tuple[str, int]:
    """Of an address of which the part before the host is hidden: a password may look like a host. Raises ValueError."""
    parts = urlsplit(redact(url))
    return parts.hostname or "", parts.port or PORTS[parts.scheme.lower()]
