"""The sockets of a subscriber, and how a monitor that refuses it is found out."""

from __future__ import annotations

from collections.abc import Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

from monitor.alerts.keys import HANDSHAKE_FAILED, ClientKeys
from monitor.errors import ConfigError, RefusedError

_FAILURES = 3
"""A connection that ends so often in a row while keys are exchanged is not just a monitor that is being restarted."""


def new_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    keys: ClientKeys | None,
    topics: Sequence[str] = (),
) -> zmq.Socket[bytes]:
    """A socket that will connect, and connect again by itself."""
    made = context.socket(kind)
    made.linger = 0
    made.reconnect_ivl, made.reconnect_ivl_max = 100, 2000
    made.heartbeat_ivl, made.heartbeat_timeout = 5000, 15_000
    if keys is not None:
        keys.apply(made)
    for topic in topics:
        made.subscribe(topic)
    return made


def connect(made: zmq.Socket[bytes], endpoint: str) -> None:
    """Let a socket connect. Raises ConfigError for an address that cannot be."""
    made.ipv6 = "[" in endpoint
    try:
        made.connect(endpoint)
    except zmq.ZMQError as error:
        raise ConfigError(f"cannot connect to {endpoint} ({error.strerror}): write tcp://HOST:PORT") from error


def history_endpoint(alerts: str, announced: str) -> str:
    """Where this machine finds the history socket whose address a heartbeat tells: at the host of the alerts socket."""
    if not (alerts.startswith("tcp://") and announced.startswith("tcp://")):
        return announced
    return f"{alerts.rpartition(':')[0]}:{announced.rpartition(':')[2]}"


class RefusalWatch:
    """Notices that a monitor does not let this client in, which ZeroMQ by itself keeps silent about.

    To be made before the socket connects: a refusal need not be followed by another attempt.
    """

    def __init__(self, watched: zmq.Socket[bytes], endpoint: str, *, has_keys: bool) -> None:
        self.events = watched.get_monitor_socket(HANDSHAKE_FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        """To be polled; ``read`` when there is something."""
        self._endpoint = endpoint
        self._has_keys = has_keys
        self._failures = 0

    def read(self) -> None:
        """Take the next event. Raises RefusedError once it is clear that trying again will not help."""
        kind = recv_monitor_message(self.events)["event"]
        if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._failures = 0
            return
        if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise RefusedError(
                f"{self._endpoint} refused this client's key: have its public NAME.key put into the monitor's keys "
                "folder, under clients"
            )
        # After a failure of the protocol ZeroMQ does not connect again; a connection that ends may have other causes.
        self._failures += 1 if kind == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL else _FAILURES
        if self._failures < _FAILURES:
            return
        if self._has_keys:
            raise RefusedError(
                f"{self._endpoint} ends every connection while keys are exchanged: it uses no keys, or server.key is "
                "not its public key"
            )
        raise RefusedError(
            f"{self._endpoint} ends every connection before it is used: it asks for keys (give this client's with "
            "--keys), or it is no monitor's address"
        )
