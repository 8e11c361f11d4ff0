"""The control socket in the main thread: takes requests from the bus, and lets the desk answer them a little at a time.

The sockets and their limits belong to the bus: a client has one request at a time, of at most 64 KB, and one that does
not read its replies is disconnected (``monitor.alerts.bus``).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator

from monitor.alerts.binding import is_exposed
from monitor.alerts.bus.doors import Connection, Door
from monitor.alerts.bus.exchange import Exchange
from monitor.alerts.control_desk import Asker, Desk
from monitor.alerts.keys import ServerKeys
from monitor.errors import ConfigError
from monitor.text.commands import client_command

_Answering = tuple[Connection, Generator[bool | None, None, bytes]]
CONTROL_S = 0.02
"""Time limit for the steps of one tick, seconds. What is left goes on at the next."""
MOST_AT_ONCE = 16
"""Requests that are answered at the same time; the others wait."""


def check_control(endpoint: str, *, keys: bool) -> None:
    """Raise ConfigError if other machines could change what this monitor does without a key."""
    if is_exposed(endpoint) and not keys:
        raise ConfigError(
            f"control at {endpoint} is open to other machines, and any program there could change what this monitor "
            f"alerts to: make keys with `{client_command('keys keys --control')}` and set keys under [publish], use "
            '127.0.0.1, or set control = "off"'
        )


class ControlSocket:
    """Only the main thread uses it.

    door  through which the clients come
    keys  None: without keys, every client may change things
    """

    def __init__(self, door: Door, bus: Exchange, keys: ServerKeys | None, desk: Desk) -> None:
        self.desk = desk
        self._door, self._bus, self._keys = door, bus, keys
        self._answering: deque[_Answering] = deque()

    @property
    def endpoint(self) -> str:
        """Its actual address."""
        return self._door.listener.endpoint

    def tick(self) -> None:
        """Answer requests for a bounded time. Call it about ten times per second."""
        ends_at = time.monotonic() + CONTROL_S
        waiting: list[_Answering] = []  # until the next tick
        while time.monotonic() < ends_at:
            while (
                len(waiting) + len(self._answering) < MOST_AT_ONCE
                and (asked := self._bus.next_request(self._door)) is not None
            ):
                client, payload = asked
                self._answering.append((client, self.desk.answer(payload, self._asker(client))))
            if not self._answering:
                break
            client, steps = self._answering.popleft()
            try:
                waits = next(steps)
            except StopIteration as ended:
                self._bus.reply(client, [ended.value])
            else:
                (waiting if waits else self._answering).append((client, steps))
        self._answering.extend(waiting)

    def _asker(self, client: Connection) -> Asker:
        peer = client.peer
        if self._keys is None or peer.key is None:
            return Asker(peer.address)
        # Looked up for each request: a key that is removed or moved loses its rights at once.
        name = self._keys.controller(peer.key)
        return Asker(peer.address, name or self._keys.name_of(peer.key) or "", changes=name is not None)
