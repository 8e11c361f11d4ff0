"""Requests to the desk from another thread of this process, such as that of MQTT."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator

from monitor.alerts.control import ControlReply, ControlRequest, decode_reply
from monitor.alerts.control_desk import Asker, Desk
from monitor.alerts.control_socket import CONTROL_S
from monitor.alerts.messages import encode

MOST_WAITING = 20
"""Requests that wait to be answered; more are refused."""

Then = Callable[[ControlReply], None]


class ControlQueue:
    """Any thread may ``ask``; the main thread calls ``tick``, which answers a little at a time.

    asker  who asks, for the record of changes
    """

    def __init__(self, desk: Desk, asker: Asker) -> None:
        self._desk, self._asker = desk, asker
        self._lock = threading.Lock()
        self._waiting: deque[tuple[ControlRequest, Then]] = deque()
        self._answering: tuple[Generator[bool | None, None, bytes], Then] | None = None

    def ask(self, request: ControlRequest, then: Then) -> bool:
        """Have a request answered. then: called with the reply, in the main thread. False: too many wait already."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return False
            self._waiting.append((request, then))
            return True

    def tick(self) -> None:
        """Answer requests for a bounded time. Call it about ten times per second."""
        ends_at = time.monotonic() + CONTROL_S
        while time.monotonic() < ends_at:
            if self._answering is None:
                with self._lock:
                    if not self._waiting:
                        return
                    request, then = self._waiting.popleft()
                self._answering = self._desk.answer(encode(request), self._asker), then
            steps, then = self._answering
            try:
                if next(steps):
                    return  # it waits: nothing to do before the next tick
            except StopIteration as ended:
                self._answering = None
                then(decode_reply(ended.value))
