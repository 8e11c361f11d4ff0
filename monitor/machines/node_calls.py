"""Questions of the gateway to nodes: each has a number, and is answered once, or is not in time. Nothing waits here."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from monitor.alerts.control import ControlReply, ControlRequest, decode_reply
from monitor.alerts.control_desk import WAITING
from monitor.alerts.messages import MalformedError, encode
from monitor.errors import MonitorError, RunError
from monitor.machines.fleet_messages import NodeAnswered, NodeAsked

ANSWERED_S = 6.0
"""A node that has not answered after this time is away. Clients wait 10 s for an answer."""
LONG_S = 60.0
"""The same for a preview, and for what opens a camera again."""
MOST_OPEN = 4
"""Questions that one node may leave open: what a slow one is asked must not keep others waiting."""

Send = Callable[[str, NodeAsked, bytes], bool]
"""Sends to a node: its name, the question and its payload. False if it has no connection."""


class NodeAwayError(RunError):
    """A node does not answer, or cannot do it now. It may have done what was asked."""


class NodeRefusedError(MonitorError):
    """The node's monitor refuses what was asked, also later; the text is its sentence."""


@dataclass(slots=True, eq=False)
class _Question:
    node: str
    answer: NodeAnswered | None = None
    payload: bytes = b""


@dataclass(slots=True)
class NodeCalls:
    """Only one thread may use it."""

    send: Send
    clock: Callable[[], float] = time.monotonic
    _open: dict[int, _Question] = field(default_factory=dict)
    _number: int = 0

    def control(
        self, node: str, request: ControlRequest, wait_s: float = ANSWERED_S
    ) -> Generator[bool | None, None, ControlReply]:
        """Let a node's monitor answer a request, in steps. Raises NodeRefusedError and NodeAwayError."""
        reply, _ = yield from self.change(node, request, None, wait_s)
        return reply

    def change(
        self, node: str, request: ControlRequest, camera: str | None, wait_s: float = LONG_S
    ) -> Generator[bool | None, None, tuple[ControlReply, str]]:
        """Like ``control``; also returns what is chosen for the camera then."""
        asked = NodeAsked(number=self._next(), what="control", camera=camera, wait_s=wait_s)
        answer, payload = yield from self._ask(node, asked, encode(request))
        try:
            reply = decode_reply(payload)
        except MalformedError as error:
            raise NodeAwayError(f"{node} gives no answer that can be understood ({error}): see its log") from None
        if reply.reply != "ok":
            later = reply.data.keys() & {"wait_s", "temporary"}
            raise NodeAwayError(reply.said) if later else NodeRefusedError(reply.said)
        return reply, answer.choice

    def keep(self, node: str, event: str, content: bytes) -> Generator[bool | None, None, None]:
        """Let a node keep an event, in steps. Raises NodeAwayError."""
        asked = NodeAsked(number=self._next(), what="keep", event=event, wait_s=ANSWERED_S)
        yield from self._ask(node, asked, content)

    def answered(self, answer: NodeAnswered, payload: bytes) -> None:
        """A node has answered."""
        question = self._open.get(answer.number)
        if question is not None and question.node == answer.node:
            question.answer, question.payload = answer, payload

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _ask(
        self, node: str, asked: NodeAsked, payload: bytes
    ) -> Generator[bool | None, None, tuple[NodeAnswered, bytes]]:
        if sum(question.node == node for question in self._open.values()) >= MOST_OPEN:
            raise NodeAwayError(f"{node} has not answered {MOST_OPEN} requests yet: try again soon")
        question = _Question(node)
        if not self.send(node, asked, payload):
            raise NodeAwayError(f"{node} is away: try again when it is back")
        self._open[asked.number] = question
        deadline = self.clock() + asked.wait_s
        try:
            while question.answer is None:
                if self.clock() > deadline:
                    raise NodeAwayError(f"{node} does not answer: try again soon")
                yield WAITING
        finally:
            del self._open[asked.number]
        if question.answer.error:
            raise NodeAwayError(question.answer.error)
        return question.answer, question.payload
