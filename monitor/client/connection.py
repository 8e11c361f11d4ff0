"""The sockets of a subscriber, and the detection of a monitor that refuses it."""

from __future__ import annotations

from collections.abc import Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT, check_endpoint
from monitor.alerts.keys import ClientKeys
from monitor.errors import ConfigError, RefusedError

_HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
MAX_PART_BYTES = 16_000_000
"""A larger part of a message is not from a monitor: the connection is closed and tried again."""
_FAILURES = 3
"""After this many failed key exchanges in a row, the reason is not just a restart of the monitor."""


def new_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    keys: ClientKeys | None,
    topics: Sequence[str] = (),
) -> zmq.Socket[bytes]:
    """Return a socket that is ready to connect and that reconnects automatically."""
    made = context.socket(kind)
    made.linger = 0
    made.reconnect_ivl, made.reconnect_ivl_max = 100, 2000
    # ZeroMQ's own heartbeats abort the process if the monitor dies while this client does not read. Keep-alive of TCP
    # also notices that the monitor's machine has vanished.
    made.heartbeat_ivl = 0
    made.tcp_keepalive, made.tcp_keepalive_idle, made.tcp_keepalive_intvl, made.tcp_keepalive_cnt = 1, 5, 5, 2
    made.maxmsgsize = MAX_PART_BYTES
    if keys is not None:
        keys.apply(made)
    for topic in topics:
        made.subscribe(topic)
    return made


def connect(made: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect a socket. Raises ConfigError if the address is invalid."""
    made.ipv6 = "[" in endpoint
    try:
        made.connect(endpoint)
    except zmq.ZMQError as error:
        like = f"write one with host and port, such as {DEFAULT_ALERTS_ENDPOINT}"
        raise ConfigError(f"cannot connect to {endpoint} ({error.strerror}): {like}") from error


def history_endpoint(alerts: str, announced: str) -> str:
    """Return the address of the history socket for this machine, from the user's address and the monitor's.

    alerts     the address of the alerts, as the user gave it
    announced  the address of the history, as the heartbeat gives it

    What a publisher says never leads this client elsewhere: it goes to the host of ``alerts``, with the announced port,
    or to a path in the folder of ``alerts``. Raises ConfigError if that is not possible.
    """
    if alerts.startswith("tcp://") and announced.startswith("tcp://"):
        at = f"{alerts.rpartition(':')[0]}:{announced.rpartition(':')[2]}"
    elif announced.startswith("tcp://"):  # a monitor at a path is on this machine
        at = f"tcp://127.0.0.1:{announced.rpartition(':')[2]}"
    elif alerts.startswith("ipc://") and _folder(alerts) == _folder(announced):
        at = announced
    else:
        raise ConfigError(
            f"the monitor says that its history is at {announced[:200]!r}, to which this client does not go by itself: "
            "give its address as the history endpoint (--history-endpoint)"
        )
    check_endpoint(at)
    return at


def _folder(endpoint: str) -> str:
    """Return the folder of an ``ipc://`` path as it is written; a path with ``..`` has none of its own."""
    path = endpoint.removeprefix("ipc://")
    return path if ".." in path.split("/") or "*" in path else path.rpartition("/")[0]


class RefusalWatch:
    """Detects that a monitor refuses this client. ZeroMQ itself does not report this.

    Make it before the socket connects: after a refusal there may be no second attempt.
    """

    def __init__(self, watched: zmq.Socket[bytes], endpoint: str, *, has_keys: bool) -> None:
        self.events = watched.get_monitor_socket(_HANDSHAKE_FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        """Poll this socket, and call ``read`` when it has data."""
        self._endpoint = endpoint
        self._has_keys = has_keys
        self._failures = 0

    def read(self) -> None:
        """Handle the next event. Raises RefusedError when another attempt cannot succeed."""
        kind = recv_monitor_message(self.events)["event"]
        if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._failures = 0
            return
        if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise RefusedError(
                f"{self._endpoint} refused this client's key: copy its public NAME.key into the folder clients of the "
                "monitor's keys"
            )
        # After a protocol failure, ZeroMQ does not connect again. A connection that just ends may have other causes.
        self._failures += 1 if kind == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL else _FAILURES
        if self._failures < _FAILURES:
            return
        if self._has_keys:
            raise RefusedError(
                f"{self._endpoint} closes every connection during the key exchange: it uses no keys, or server.key is "
                "not its public key"
            )
        raise RefusedError(
            f"{self._endpoint} closes every connection before use: it requires keys (give this client's keys with "
            "--keys), or it is not the address of a monitor"
        )
