"""The sockets between machines of a fleet: ROUTER at the gateway and the coordinator, DEALER at nodes.

A message has a kind (one byte) and parts. With a token, all is encrypted, and a peer without it gets nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from monitor.alerts.binding import is_exposed
from monitor.alerts.endpoints import check_endpoint
from monitor.errors import BindError, ConfigError
from monitor.machines.fleet_token import keys_of

log = logging.getLogger("monitor")

MOST_BYTES = 4_000_000
"""A larger part is refused, and its peer disconnected."""
MOST_WAITING = 10_000
"""Messages that may wait per peer; more are dropped, and sent again by who misses the answer."""
HEARTBEAT_MS = 2_000
DEAD_MS = 6_000
"""A connection without any sign of life for so long is made anew."""
COMPLAIN_EVERY_S = 60.0
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


class _End:
    """One end of a connection, with a watch over peers that refuse or lack the token."""

    kind: int

    def __init__(self, endpoint: str, token: str | None) -> None:
        check_endpoint(endpoint)
        self.endpoint, self._token = endpoint, token
        self.refused = 0
        """Connections that did not come about, because the tokens of both ends differ."""
        self._complained_at = -COMPLAIN_EVERY_S

    def __enter__(self) -> Self:
        self._context = zmq.Context()
        self._socket = socket = self._context.socket(self.kind)
        socket.linger = 0
        socket.maxmsgsize = MOST_BYTES
        socket.sndhwm = socket.rcvhwm = MOST_WAITING
        socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.set(zmq.HEARTBEAT_TIMEOUT, DEAD_MS)
        socket.set(zmq.HANDSHAKE_IVL, 5_000)
        self._events = socket.get_monitor_socket(_REFUSED)
        try:
            self._open(socket)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.disable_monitor()
        self._events.close(0)
        self._socket.close()
        self._context.term()

    def _open(self, socket: zmq.Socket[bytes]) -> None:
        """Set what this end needs, and bind or connect."""
        raise NotImplementedError

    def _received(self, timeout_s: float, most: int) -> Iterator[list[bytes]]:
        """Messages that have come, at most ``most``. Waits for the first at most ``timeout_s`` seconds."""
        self._look()
        if not self._socket.poll(int(timeout_s * 1000)):
            return
        for _ in range(most):
            try:
                yield self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return

    def _look(self) -> None:
        """Count refusals, and say them now and then."""
        refused = 0
        while self._events.poll(0):
            recv_monitor_message(self._events)
            refused += 1
        self.refused += refused
        now = time.monotonic()
        if refused and now - self._complained_at >= COMPLAIN_EVERY_S and (sentence := self._complaint()):
            self._complained_at = now
            log.error("%s", sentence)

    def _complaint(self) -> str:
        """What is said of refusals; "" for nothing."""
        raise NotImplementedError


class ServerSocket(_End):
    """A context manager. Only one thread may use it.

    endpoint  ``tcp://host:port`` or ``ipc://path``; port ``*`` takes any free port
    token     None: no token is needed, only on this machine

    Raises ConfigError if the address is malformed or if other machines can reach it without a token, and BindError on
    entry if it cannot be bound.
    """

    kind = zmq.ROUTER

    def __init__(self, endpoint: str, token: str | None) -> None:
        super().__init__(endpoint, token)
        if token is None and is_exposed(endpoint):
            raise ConfigError(
                f"other machines can reach {endpoint}, so it needs a token: give one, or use an address of this "
                "machine alone, such as tcp://127.0.0.1:5570"
            )

    def _open(self, socket: zmq.Socket[bytes]) -> None:
        socket.set(zmq.ROUTER_HANDOVER, 1)
        if self._token is not None:
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = keys_of(self._token, "server")
        try:
            socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            raise BindError(
                f"{self.endpoint} cannot be used by the fleet ({zmq.strerror(error.errno or 0)}): stop the program "
                "that uses it, which may be another gateway of this fleet, or choose another address"
            ) from error
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self, timeout_s: float, most: int = 500) -> list[tuple[bytes, bytes, list[bytes]]]:
        """What has come: (peer, kind, parts), at most ``most``. Waits for the first at most ``timeout_s`` seconds."""
        return [(peer, rest[0], rest[1:]) for peer, *rest in self._received(timeout_s, most) if rest]

    def send(self, peer: bytes, kind: bytes, *parts: bytes) -> None:
        """Send to a peer; dropped if it is gone."""
        try:
            self._socket.send_multipart([peer, kind, *parts], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("not sent: %s", error)

    def _complaint(self) -> str:
        return (
            f"a machine without the token of this fleet tries to connect to {self.endpoint} ({self.refused} times so "
            "far): give it the token, or stop it"
        )


class ClientSocket(_End):
    """A context manager. Only one thread may use it. It connects again by itself.

    name       of the peer at the other end, for the log
    complains  False: the caller says it if the token is refused
    """

    kind = zmq.DEALER

    def __init__(self, endpoint: str, token: str | None, name: str, *, complains: bool = True) -> None:
        super().__init__(endpoint, token)
        self._name, self._complains = name, complains
        self.dropped = 0
        """Messages for which there was no room."""

    def _open(self, socket: zmq.Socket[bytes]) -> None:
        socket.set(zmq.IMMEDIATE, 1)  # what cannot be sent now is sent again by who misses the answer
        socket.set(zmq.RECONNECT_IVL, 100)
        socket.set(zmq.RECONNECT_IVL_MAX, 2_000)
        if self._token is not None:
            socket.curve_serverkey = keys_of(self._token, "server")[0]
            socket.curve_publickey, socket.curve_secretkey = keys_of(self._token, "client")
        socket.connect(self.endpoint)

    def send(self, kind: bytes, *parts: bytes) -> bool:
        """Send. False if there is no connection, or no room."""
        try:
            self._socket.send_multipart([kind, *parts], zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1
            return False
        return True

    def receive(self, timeout_s: float, most: int = 500) -> list[tuple[bytes, list[bytes]]]:
        """What has come: (kind, parts), at most ``most``. Waits for the first at most ``timeout_s`` seconds."""
        return [(kind, parts) for kind, *parts in self._received(timeout_s, most)]

    def _complaint(self) -> str:
        if not self._complains:
            return ""
        return (
            f"{self._name} at {self.endpoint} refuses this machine, because its token is another one: copy the token "
            "from the machine of the gateway"
        )
