"""A node on the network: renews its leases with both voters, and brings to the gateway what its cameras tell."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from monitor.machines.fleet_messages import Chosen, Granted, NodeAnswered, NodeAsked, StepHead, Taken, decoded, encoded
from monitor.machines.fleet_socket import ClientSocket
from monitor.machines.gateway_server import CALL, CALLED, CHOSEN, GRANTED, RENEWAL, STEP, TAKEN
from monitor.machines.leases import boot_clock
from monitor.machines.node_keeper import Engine, NodeKeeper
from monitor.machines.step_journal import Step, StepJournal
from monitor.machines.step_sender import StepSender

log = logging.getLogger("monitor")


class NodeLink:
    """A context manager around journal and sockets. Only one thread may use it: call ``pump`` often.

    name         of the node
    folder       for its journal; it belongs to this node alone
    engine       captures and judges its cameras, and calls ``tell``
    gateway      address of the gateway; coordinator: of the coordinator
    token        of the fleet; None: none is needed, only on this machine
    capacity_fps frames per second that the engine can analyse; labels and version: see Renewal

    On entry, raises RunError if another node uses the folder, and ConfigError.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        engine: Engine,
        gateway: str,
        coordinator: str,
        token: str | None,
        *,
        capacity_fps: float,
        labels: Mapping[str, str] | None = None,
        version: str = "",
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self.name, self._clock = name, clock
        self._boot = secrets.token_hex(8)
        self.journal = StepJournal(folder / "steps.sqlite3")
        self.gateway = ClientSocket(gateway, token, "the gateway")
        self.coordinator = ClientSocket(coordinator, token, "the coordinator")
        self.keeper = NodeKeeper(name, self._boot, engine, capacity_fps=capacity_fps, labels=labels, version=version)
        self.asked: Callable[[NodeAsked, bytes], None] = lambda *_: None
        """Called with what the gateway asks for a client, and the payload; ``answer`` answers it."""
        self.error = ""
        """Why a voter does not take this node, the last sentence; "" if no voter has refused it."""
        self.unleased = 0
        """Messages that were not told, because the node had no lease of their camera."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.journal)
            stack.enter_context(self.gateway)
            stack.enter_context(self.coordinator)
            self.sender = StepSender(self.journal, self.name, self._boot, self._send)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tell(self, camera: str, topic: str, body: bytes, jpeg: bytes | None, captured_at: float) -> bool:
        """Journal a message of a camera, and send it. captured_at: of its frame, by ``clock``.

        False if the node may not tell anything about this camera.
        """
        lease = self.keeper.lease_of(camera, captured_at)
        if lease is None:
            self.unleased += 1
            return False
        step, _ = self.journal.append(camera, *lease, topic, body, jpeg)
        self.sender.offer(step)
        return True

    def pump(self, timeout_s: float) -> None:
        """Deal with what has come, waiting at most ``timeout_s`` seconds for it, and send what is due."""
        for kind, parts in [*self.gateway.receive(timeout_s), *self.coordinator.receive(0.0)]:
            try:
                self._take(kind, parts)
            except (ValueError, IndexError) as error:
                log.debug("malformed message: %s", error)
        now = self._clock()
        self.keeper.tick(now)
        if self.keeper.due(now):
            renewal = encoded(self.keeper.renewal(now))
            self.gateway.send(RENEWAL, renewal)
            self.coordinator.send(RENEWAL, renewal)
        self.sender.tick(now)

    def answer(self, number: int, payload: bytes, error: str = "", choice: str = "") -> None:
        """Answer what the gateway has asked. error: why there is no payload, one sentence; choice: see NodeAnswered."""
        answer = NodeAnswered(node=self.name, number=number, error=error, choice=choice)
        self.gateway.send(CALLED, encoded(answer), payload)

    def chosen(self, camera: str, epoch: int, choice: str) -> None:
        """Tell the gateway what is chosen for a camera that is watched here, see Chosen."""
        self.gateway.send(CHOSEN, encoded(Chosen(node=self.name, camera=camera, epoch=epoch, choice=choice)))

    def close_cameras(self) -> None:
        """Let all cameras go, and tell it, at the end. ``closed`` says whether all is told; until then, ``pump``."""
        self.keeper.close(self._clock())
        self.pump(0.0)

    @property
    def closed(self) -> bool:
        """After ``close_cameras``: whether the gateway has all messages, and the coordinator knows of the end."""
        return self.sender.done and not self.keeper.leaving

    def _take(self, kind: bytes, parts: list[bytes]) -> None:
        now = self._clock()
        if kind == TAKEN:
            self.sender.taken(decoded(Taken, parts[0]), now)
        elif kind == GRANTED:
            reply = decoded(Granted, parts[0])
            if reply.error and reply.error != self.error:
                log.error("%s", reply.error)
            self.error = reply.error or self.error
            self.keeper.granted(reply, now)
        elif kind == CALL:
            self.asked(decoded(NodeAsked, parts[0]), parts[1])
        else:
            raise ValueError("unknown kind")

    def _send(self, head: StepHead, step: Step) -> None:
        parts = [step.topic.encode(), step.body, *([step.jpeg] if step.jpeg else [])]
        self.gateway.send(STEP, encoded(head), *parts)
