"""Evidence stays on its node and is had through the head: requests of clients go to the node, pieces of files go back.

The head keeps nothing of it. One request is for one piece, so what is under way is bounded. All on the socket of the
store, in its process: no alert waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Protocol

from pydantic import Field, NonNegativeInt, PositiveInt

from monitor.alerts.message_parts import WireModel
from monitor.machines.fleet_messages import PROTOCOL, Name, decoded, encoded

HELLO, WANT, PASSED, FOUND, REPLY = b"h", b"w", b"x", b"y", b"z"
"""A node says who it is; a client asks; the head asks the node; the node answers the head; the head the client."""
HELLO_EVERY_S = 2.0
GONE_S = 10.0
"""A node that has said nothing for so long is away."""


class FileWanted(WireModel):
    """A client asks for a piece of a file of evidence. name: as the alert lists it; offset in bytes."""

    protocol: PositiveInt = PROTOCOL
    number: PositiveInt
    node: Name
    name: Annotated[str, Field(min_length=1, max_length=500)]
    offset: NonNegativeInt = 0


class FilePiece(WireModel):
    """The answer; the piece follows. size: of the whole file; error: one sentence, else "".

    missing  the node does not have the file: not yet, or no longer
    """

    number: PositiveInt
    size: NonNegativeInt = 0
    error: str = ""
    missing: bool = False


class NodeHello(WireModel):
    """A node can be asked for evidence on this connection."""

    node: Name


class Sender(Protocol):
    """See ServerSocket."""

    def send(self, peer: bytes, kind: bytes, *parts: bytes) -> None:
        """Send to a peer; dropped if it is gone."""


class EvidenceRelay:
    """Only the thread of the socket may use it."""

    def __init__(self, socket: Sender, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket, self._clock = socket, clock
        self.nodes: dict[str, tuple[bytes, float]] = {}
        """Node -> its connection, and when it was heard."""

    def take(self, peer: bytes, kind: bytes, parts: list[bytes]) -> bool:
        """Deal with a message. False if it is not about evidence. Raises ValueError and IndexError."""
        if kind == HELLO:
            self.nodes[decoded(NodeHello, parts[0]).node] = peer, self._clock()
        elif kind == WANT:
            self._pass_on(peer, decoded(FileWanted, parts[0]))
        elif kind == FOUND:
            client, answer, *piece = parts
            self._socket.send(client, REPLY, answer, *piece[:1])
        else:
            return False
        return True

    def _pass_on(self, client: bytes, wanted: FileWanted) -> None:
        node, heard_at = self.nodes.get(wanted.node, (b"", -GONE_S))
        if wanted.protocol != PROTOCOL:
            why = (
                f"this command speaks version {wanted.protocol} of the fleet's protocol, and this fleet {PROTOCOL}: "
                "install the same version of True Sight on all machines"
            )
        elif self._clock() - heard_at >= GONE_S:
            why = f"{wanted.node}, which has the evidence, is away: try again when it is back"
        else:
            self._socket.send(node, PASSED, client, encoded(wanted))
            return
        self._socket.send(client, REPLY, encoded(FilePiece(number=wanted.number, error=why)))
