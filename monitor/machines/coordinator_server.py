"""The coordinator on the network: nodes renew their leases here, and it asks the gateway to agree to changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from monitor.errors import MonitorError, RunError, UsageError
from monitor.machines.fleet_coordinator import Coordinator
from monitor.machines.fleet_messages import (
    PROTOCOL,
    Answered,
    Asked,
    Fence,
    Fenced,
    PassedOn,
    Renewal,
    decoded,
    encoded,
)
from monitor.machines.fleet_socket import ClientSocket, ServerSocket
from monitor.machines.fleet_state import StateFile
from monitor.machines.fleet_status import FleetStatus
from monitor.machines.gateway_server import FENCE, FENCED, GRANTED, PASS_ON, RENEWAL
from monitor.machines.leases import boot_clock

log = logging.getLogger("monitor")

STEP_EVERY_S = 0.5
ASK, ANSWER = b"a", b"w"
STATUS = TypeAdapter(FleetStatus)
"""Writes and reads the status of a fleet as JSON."""
_ASKED_KEPT = 20


class CoordinatorServer:
    """A context manager around state file, coordinator and sockets. Only one thread may use it: call ``pump`` often.

    fleet     its name
    folder    for the state
    endpoint  where nodes connect
    gateway   address of the gateway
    token     of the fleet; None: none is needed, only on this machine

    On entry, raises RunError if another coordinator uses the folder, ConfigError and BindError.
    """

    def __init__(
        self,
        fleet: str,
        folder: Path,
        endpoint: str,
        gateway: str,
        token: str | None,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self._file = StateFile(folder / "fleet.json", fleet)
        self.socket, self._gateway = ServerSocket(endpoint, token), ClientSocket(gateway, token, "the gateway")
        self._clock = clock
        self._peers: dict[str, bytes] = {}
        self._asked: dict[int, Fence] = {}
        self._next_step = 0.0
        self.malformed = 0
        """Messages that were none of the fleet's."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._file)
            self.coordinator = Coordinator(self._file, self._clock())
            stack.enter_context(self.socket)
            stack.enter_context(self._gateway)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pump(self, timeout_s: float) -> None:
        """Deal with what has come, waiting at most ``timeout_s`` seconds for it, and decide what is due."""
        for peer, kind, parts in self.socket.receive(timeout_s):
            self._guarded(lambda peer=peer, kind=kind, parts=parts: self._from_node(peer, kind, parts))  # type: ignore[misc]
        for kind, parts in self._gateway.receive(0.0):
            self._guarded(lambda kind=kind, parts=parts: self._from_gateway(kind, parts))  # type: ignore[misc]
        now = self._clock()
        if self.coordinator.urgent or now >= self._next_step:
            self._next_step = now + STEP_EVERY_S
            self._decide(now)

    def _decide(self, now: float) -> None:
        self.coordinator.step(now)
        asked = self.coordinator.fence_request()
        if self._gateway.send(FENCE, encoded(asked)):
            self._asked[asked.number] = asked
            self._asked.pop(asked.number - _ASKED_KEPT, None)
        for name, reply in self.coordinator.pushes(now).items():
            if (peer := self._peers.get(name)) is not None:
                self.socket.send(peer, GRANTED, encoded(reply))
            self._gateway.send(PASS_ON, encoded(PassedOn(node=name, reply=reply)))

    def _from_node(self, peer: bytes, kind: bytes, parts: list[bytes]) -> None:
        if kind == ASK:
            asked = decoded(Asked, parts[0])
            self.socket.send(peer, ANSWER, encoded(self._answer(asked)))
            return
        if kind != RENEWAL:
            raise ValueError("unknown kind")
        renewal = decoded(Renewal, parts[0])
        reply = self.coordinator.renew(renewal, self._clock(), time.time())
        if not reply.error:
            self._peers[renewal.node] = peer
        self.socket.send(peer, GRANTED, encoded(reply))

    def _answer(self, asked: Asked) -> Answered:
        """Do what a person asks for."""
        try:
            return Answered(number=asked.number, status=self._ask(asked))
        except MonitorError as error:
            return Answered(number=asked.number, error=str(error), code=error.exit_code)

    def _ask(self, asked: Asked) -> str:
        """The status if it was asked for, else "". Raises MonitorError."""
        now = self._clock()
        if asked.protocol != PROTOCOL:
            raise UsageError(
                f"this command speaks version {asked.protocol} of the fleet's protocol, and this fleet {PROTOCOL}: "
                "install the same version of True Sight on all machines"
            )
        try:
            match asked.what:
                case "status":
                    return STATUS.dump_json(self.coordinator.status(now, time.time())).decode()
                case "move":
                    self.coordinator.move(asked.camera or "", asked.node or "", now)
                case "drain":
                    self.coordinator.drain(asked.node or "", now, asked.heir)
                case "undrain":
                    self.coordinator.undrain(asked.node or "", now)
        except OSError as error:
            raise RunError(
                f"the state of the fleet cannot be stored ({error.strerror or error}), so nothing was changed: free "
                "space on the disk of the head, or bring the disk back"
            ) from error
        return ""

    def _from_gateway(self, kind: bytes, parts: list[bytes]) -> None:
        if kind != FENCED:
            raise ValueError("unknown kind")
        reply = decoded(Fenced, parts[0])
        if (asked := self._asked.pop(reply.number, None)) is not None:
            self.coordinator.fenced(asked, reply, self._clock())

    def _guarded(self, take: Callable[[], None]) -> None:
        try:
            take()
        except (ValueError, IndexError) as error:
            self.malformed += 1
            log.debug("malformed message of a peer: %s", error)
