"""A peer with its socket and its times, and the door through which it came."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.alerts.binding import Listener
from monitor.alerts.bus.peer import Peer

MAX_PEERS = 128
"""Connections per address."""
RATE, BURST = 131_072, 262_144
"""Bytes that are read from a peer: at most BURST at once, and RATE per second in the long run."""
_ALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2))
"""A peer that has vanished (no power, no network) is noticed after about 15 s."""


class Connection:
    """An open connection. ``now`` is time.monotonic(), in seconds."""

    def __init__(self, connected: socket.socket, door: Door, peer: Peer, now: float) -> None:
        self.socket = connected
        self.door = door
        self.peer = peer
        self.accepted_at = now
        self.heard_at = now
        """When bytes last came."""
        self.moved_at = now
        """When bytes were last sent, or when something to send came after nothing was left."""
        self.read_again_at = 0.0
        """Until this time nothing is read, because too much has come."""
        self.reading = self.writing = self.doomed = self.closed = False
        self._allowance, self._refilled_at = float(BURST), now
        connected.setblocking(False)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _ALIVE:
                connected.setsockopt(socket.IPPROTO_TCP, option, value)

    def spend(self, count: int, now: float) -> None:
        """Record that bytes have been read; sets ``read_again_at`` if the share of the peer is used up."""
        self._allowance = min(BURST, self._allowance + RATE * (now - self._refilled_at)) - count
        self._refilled_at = self.heard_at = now
        if self._allowance < 0:
            self.read_again_at = now - self._allowance / RATE


@dataclass
class Door:
    """A bound address, and the connections through it.

    make  returns a new peer for the address of a client
    """

    listener: Listener
    make: Callable[[str], Peer]
    connections: list[Connection] = field(default_factory=list)

    def crowded_by(self, address: str) -> Connection | None:
        """Return the connection that has to leave before a new one from ``address``; None if the new one has to.

        First, one without a complete handshake leaves; then one that waits for nothing, and so loses nothing: among
        these the one that has been silent for longest. Else the newest of the address that has most, if it has clearly
        more than the new one. So silent connections, or many from one machine, keep nobody else out.
        """
        unknown = [each for each in self.connections if not each.peer.ready]
        idle = unknown or [each for each in self.connections if each.peer.idle]
        if idle:
            return min(idle, key=lambda each: each.heard_at)
        counts = Counter(each.peer.address for each in self.connections)
        most, count = counts.most_common(1)[0]
        if count <= counts[address] + 1:
            return None
        return max((each for each in self.connections if each.peer.address == most), key=lambda each: each.accepted_at)


def address_of(name: object) -> str:
    """Return the address of a connected client, for people."""
    return str(name[0]) if isinstance(name, tuple) else "this machine"
