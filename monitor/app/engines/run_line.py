"""An engine's line to its run: calls that wait for their answer, messages that came meanwhile, and log lines."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from monitor.app.engines.engine_messages import Answer, Call, LogLine
from monitor.app.engines.engine_wire import Wire
from monitor.errors import RunError

ANSWERED_S = 10.0
"""A call that is not answered for so long fails, seconds."""


class RunLine:
    """Only the main thread uses it. arrived: messages that have been received from the wire already."""

    def __init__(self, wire: Wire, arrived: Sequence[object] = ()) -> None:
        self.wire = self._wire = wire
        self._inbox = deque(arrived)
        self._calls = 0

    def take(self) -> list[object]:
        """The messages that have arrived and are no answers."""
        self._inbox.extend(self._wire.receive())
        found = list(self._inbox)
        self._inbox.clear()
        return found

    def call(self, store: str, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of one of the run's stores. Raises the MonitorError that it raised, or RunError."""
        self._calls += 1
        self._wire.send(Call(self._calls, store, method, arguments, named))
        deadline = time.monotonic() + ANSWERED_S
        while time.monotonic() < deadline and not self._wire.ended:
            self._wire.wait(deadline - time.monotonic())
            self._wire.flush()
            for message in self._wire.receive():
                if not isinstance(message, Answer):
                    self._inbox.append(message)
                elif message.number == self._calls:
                    if message.error is not None:
                        raise message.error
                    return message.value
        raise RunError("the run does not answer its engine: try again")


class LogRelay(logging.Handler):
    """Keeps log lines of any thread until the main thread sends them. The last 1,000 lines, if there are too many."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=1000)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self._lines.append(LogLine(record.levelno, record.name, self.format(record)))

    def send(self, wire: Wire) -> None:
        """Send what is kept."""
        while self._lines:
            wire.send(self._lines.popleft(), droppable=True)
