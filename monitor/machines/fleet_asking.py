"""Asks the coordinator for what people want: status, moves, drains."""

from __future__ import annotations

import time
from typing import Literal, Self

from pydantic import ValidationError

from monitor.errors import RefusedError, RunError, UsageError, first_problem
from monitor.machines.coordinator_server import ANSWER, ASK, STATUS
from monitor.machines.fleet_messages import Answered, Asked, decoded, encoded
from monitor.machines.fleet_socket import ClientSocket
from monitor.machines.fleet_status import FleetStatus

ANSWER_S = 5.0
"""A coordinator that has not answered after this time counts as away."""
_POLL_S = 0.05


class AwayError(RunError):
    """The coordinator does not answer."""


class FleetAsker:
    """A context manager around the connection. Only one thread may use it.

    Each method raises RefusedError if the token is wrong, AwayError if nobody answers within ``wait_s`` seconds, and
    UsageError or RunError with the sentence of the coordinator if it refuses.
    """

    def __init__(self, coordinator: str, token: str, wait_s: float = ANSWER_S) -> None:
        self._socket = ClientSocket(coordinator, token, "the coordinator", complains=False)
        self._wait_s = wait_s
        self._number = 0

    def __enter__(self) -> Self:
        self._socket.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.__exit__()

    def status(self) -> FleetStatus:
        """How the fleet is."""
        answer = self._ask("status")
        try:
            return STATUS.validate_json(answer.status)
        except ValidationError as error:
            raise RunError(
                "the answer of the fleet is not understood: install the same version of True Sight on all machines"
            ) from error

    def move(self, camera: str, node: str) -> None:
        """Move a camera. It is there when ``status`` says so."""
        self._ask("move", camera=camera, node=node)

    def drain(self, node: str, heir: str | None = None) -> None:
        """Move all cameras of a node away; heir: the node that takes them all."""
        self._ask("drain", node=node, heir=heir)

    def undrain(self, node: str) -> None:
        """The node takes cameras again."""
        self._ask("undrain", node=node)

    def _ask(self, what: Literal["status", "move", "drain", "undrain"], **named: str | None) -> Answered:
        self._number += 1
        try:
            asked = Asked.model_validate({"number": self._number, "what": what, **named})
        except ValidationError as error:
            where, why = first_problem(error)
            raise UsageError(
                f"the fleet has no {where} of this name ({why}): `fleet status` lists what it has"
            ) from error
        answer = self._answer_to(asked)
        if answer.error:
            raise (UsageError if answer.code == UsageError.exit_code else RunError)(answer.error)
        return answer

    def _answer_to(self, asked: Asked) -> Answered:
        deadline, sent = time.monotonic() + self._wait_s, False
        while time.monotonic() < deadline:
            sent = sent or self._socket.send(ASK, encoded(asked))
            for kind, parts in self._socket.receive(_POLL_S):
                if kind == ANSWER and (answer := _understood(parts)) is not None and answer.number == asked.number:
                    return answer
            if self._socket.refused:
                raise RefusedError(
                    f"the head of the fleet at {self._socket.endpoint} refuses this token: copy the file of the token "
                    "from the machine of the head, and name it with --token-file"
                )
        raise AwayError(
            f"nobody answers at {self._socket.endpoint}: start the head of the fleet with `fleet head`, or name its "
            "address with --head"
        )


def _understood(parts: list[bytes]) -> Answered | None:
    try:
        return decoded(Answered, parts[0])
    except (ValueError, IndexError):
        return None
