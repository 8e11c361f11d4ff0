"""Questions of the run to its engines: each has a number, and is answered once, unless the engine has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from monitor.alerts.control_desk import WAITING
from monitor.app.engines.front import Front
from monitor.errors import RunError

ANSWERED_S = 10.0
"""A question that an engine does not answer within this time has failed, seconds."""


@dataclass(slots=True, eq=False)
class Question:
    """What was asked. payload: the answer; None: there is none, because the engine has ended."""

    engine: int
    number: int
    answered: bool = False
    payload: bytes | None = None


class FrontCalls:
    """Main thread only."""

    def __init__(
        self, front: Front, send: Callable[[int, object], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send, self._clock = send, clock
        self._open: dict[int, Question] = {}
        self._numbers = 0
        front.replied = self._replied

    def ask(self, engine: int, message_of: Callable[[int], object]) -> Question:
        """Send a message at once. message_of: returns it with this number."""
        self._numbers += 1
        question = self._open[self._numbers] = Question(engine, self._numbers)
        self._send(engine, message_of(question.number))
        return question

    def wait(self, question: Question) -> Generator[bool | None, None, bytes | None]:
        """Steps until the answer. Returns it, or None if the engine has ended. Raises RunError after ANSWERED_S."""
        deadline = self._clock() + ANSWERED_S
        while not question.answered:
            if self._clock() > deadline:
                self._open.pop(question.number, None)
                raise RunError("the engine of this camera does not answer: try again")
            yield WAITING
        return question.payload

    def _replied(self, engine: int, number: int, payload: bytes | None) -> None:
        if payload is None:
            numbers = [each for each, question in self._open.items() if question.engine == engine]
        else:
            numbers = [number] if number in self._open else []
        for each in numbers:
            question = self._open.pop(each)
            question.answered, question.payload = True, payload
