"""The gateway on the network: steps, renewals and fences come in on one ROUTER socket, and are answered there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.errors import RunError
from monitor.machines.chosen_cameras import CHOSEN_FILE, ChosenCameras
from monitor.machines.fleet_desk import FleetDesk, Watcher
from monitor.machines.fleet_messages import (
    Chosen,
    Fence,
    NodeAnswered,
    NodeAsked,
    PassedOn,
    Renewal,
    StepHead,
    Taken,
    decoded,
    encoded,
)
from monitor.machines.fleet_socket import ServerSocket
from monitor.machines.gateway_desk import GatewayDesk
from monitor.machines.gateway_ledger import Ledger
from monitor.machines.leases import LEASE_S, boot_clock
from monitor.machines.node_calls import NodeCalls
from monitor.machines.said_verdicts import SaidVerdicts

log = logging.getLogger("monitor")

STEP, RENEWAL, FENCE, PASS_ON = b"s", b"r", b"f", b"p"
TAKEN, GRANTED, FENCED = b"t", b"g", b"d"
CALL, CALLED = b"c", b"k"
"""The gateway asks a node, and the node answers: requests of clients that change cameras or teach them."""
CHOSEN = b"h"


class GatewayServer:
    """A context manager around journal, publisher, ledger and socket. Only one thread may use it: call ``pump`` often.

    name      of the monitor that clients see
    folder    for the journal and the ledger; it belongs to this gateway alone
    endpoint  where nodes and the coordinator connect
    token     of the fleet; None: none is needed, only on this machine
    journal   makes the journal at a path
    open      makes the publisher for clients, with this journal; it must be made with ``carries``

    On entry, raises RunError if another gateway uses the folder, BindError if an address is in use, and ConfigError.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        endpoint: str,
        token: str | None,
        open_publisher: Callable[[Journal], Publisher],
        clock: Callable[[], float] = boot_clock,
        make_journal: Callable[[Path], Journal] = Journal,
    ) -> None:
        self._name, self._folder, self._open, self._clock = name, folder, open_publisher, clock
        self._make_journal = make_journal
        self.socket = ServerSocket(endpoint, token)
        self.malformed = 0
        """Messages that were none of the fleet's."""
        self._peers: dict[str, bytes] = {}  # node -> its connection
        self.calls = NodeCalls(self._call)
        """Questions to nodes."""
        self._next_tick = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                journal = stack.enter_context(self._make_journal(self._folder / "journal.sqlite3"))
            except RunError as error:
                raise RunError(
                    f"the gateway {self._name!r} runs already with {self._folder}: stop it, or give this one another "
                    "name and folder"
                ) from error
            ledger = Ledger.open(self._folder / "gateway.json", self._name, journal)
            stack.enter_context(self.socket)
            self.journal = journal
            self.publisher = stack.enter_context(self._open(journal))
            self.desk = GatewayDesk(self.publisher, journal, ledger, self._clock())
            said = stack.enter_context(SaidVerdicts(self._folder / "verdicts.sqlite3"))
            chosen = ChosenCameras(self._folder / CHOSEN_FILE)
            self.requests = FleetDesk(self, self.calls, self.desk.events, said, chosen)
            self.requests.serve_at(self.publisher.desk)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.desk.close(self._clock())
        self._stack.close()

    def pump(self, timeout_s: float) -> int:
        """Deal with what has come, waiting at most ``timeout_s`` seconds for it. Returns the number of messages."""
        answers: dict[bytes, Taken] = {}
        arrived = self.socket.receive(timeout_s)
        now = self._clock()
        for peer, kind, parts in arrived:
            try:
                self._take(peer, kind, parts, now, answers)
            except (ValueError, IndexError) as error:
                self.malformed += 1
                log.debug("malformed message of a peer: %s", error)
        for peer, taken in answers.items():
            self.socket.send(peer, TAKEN, encoded(taken))
        self._serve()
        if now >= self._next_tick:
            self._next_tick = now + 0.1
            self.desk.tick(now)
            self.publisher.tick(now)
        return len(arrived)

    def _serve(self) -> None:
        """Answer clients, a little at a time."""
        self.requests.tick()
        if self.publisher.control is not None:
            self.publisher.control.tick()

    def watcher(self, camera: str) -> Watcher | None:
        """See ``fleet_desk.Fleet``; likewise the others."""
        return self.desk.watcher(camera)

    def nodes(self) -> Sequence[str]:  # noqa: D102
        return sorted(node for node in self.desk.holders() if self.is_here(node))

    def is_here(self, node: str) -> bool:  # noqa: D102
        return node in self._peers and self.desk.heard_s(node, self._clock()) < LEASE_S

    def _call(self, node: str, asked: NodeAsked, payload: bytes) -> bool:
        if not self.is_here(node):
            return False
        self.socket.send(self._peers[node], CALL, encoded(asked), payload)
        return True

    def _take(self, peer: bytes, kind: bytes, parts: list[bytes], now: float, answers: dict[bytes, Taken]) -> None:
        if kind == STEP:
            answers[peer] = self.desk.arrived(decoded(StepHead, parts[0]), parts[1:], now)
        elif kind == RENEWAL:
            renewal = decoded(Renewal, parts[0])
            self._peers[renewal.node] = peer
            self.socket.send(peer, GRANTED, encoded(self.desk.renew(renewal, now)))
        elif kind == FENCE:
            if (reply := self.desk.fence(decoded(Fence, parts[0]), now)) is not None:
                self.socket.send(peer, FENCED, encoded(reply))
        elif kind == CALLED:
            self.calls.answered(decoded(NodeAnswered, parts[0]), parts[1])
        elif kind == CHOSEN:
            chosen = decoded(Chosen, parts[0])
            self.requests.chosen(chosen.camera, chosen.node, chosen.epoch, chosen.choice)
        elif kind == PASS_ON:
            passed = decoded(PassedOn, parts[0])
            if (known := self._peers.get(passed.node)) is not None:
                self.socket.send(known, GRANTED, encoded(passed.reply))
        else:
            raise ValueError("unknown kind")
