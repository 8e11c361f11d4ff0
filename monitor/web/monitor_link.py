"""The page's requests to the monitor's control socket. Connections are kept, and opened again after a failure."""

from __future__ import annotations

import threading
from typing import Self

from monitor.alerts.control import ControlReply, ControlRequest
from monitor.client.controller import ANSWER_S, Controller
from monitor.errors import MonitorError, RunError
from monitor.web.bus_reader import BusAddress
from monitor.web.user_file import Who

AT_ONCE = 8
"""Requests that wait for the monitor at the same time; more are refused."""


class MonitorLink:
    """Any thread may ask. On exit, connections are closed; none is made before the first request.

    Raises ConfigError if an address or a key cannot be used.
    """

    def __init__(self, address: BusAddress) -> None:
        self._address = address
        Controller(address.alerts, keys=address.keys)  # wrong addresses and keys are found here
        self._lock = threading.Lock()
        self._idle: list[Controller] = []
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for controller in idle:
            controller.__exit__()

    def ask(self, request: ControlRequest, who: Who | None = None, timeout_s: float = ANSWER_S) -> ControlReply:
        """Ask, and wait for the reply, which may be an error. who: noted by the monitor with a change.

        Raises MonitorError if no monitor answers in time, or if too many requests wait already.
        """
        if who is not None:
            request = request.model_copy(update={"asked_by": who.name})
        if not self._room.acquire(blocking=False):
            raise RunError(f"{AT_ONCE} requests wait for the monitor already: try again in a moment")
        try:
            controller = self._connected(timeout_s)
            try:
                reply = controller.ask(request, timeout_s)
            except BaseException:
                controller.__exit__()
                raise
            self._keep(controller)
            return reply
        finally:
            self._room.release()

    def _connected(self, timeout_s: float) -> Controller:
        with self._lock:
            if self._closed:
                raise RunError("the page ends")
            if self._idle:
                return self._idle.pop()
        at = self._address
        return Controller(at.alerts, keys=at.keys, timeout_s=min(timeout_s, ANSWER_S)).__enter__()

    def _keep(self, controller: Controller) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(controller)
                return
        controller.__exit__()

    def forget(self) -> None:
        """Connect anew at the next request: the monitor has restarted, perhaps at another port."""
        with self._lock:
            idle, self._idle = self._idle, []
        for controller in idle:
            controller.__exit__()


def sentence(error: MonitorError) -> str:
    """What a person reads about a monitor that does not answer."""
    return f"{str(error)[:1].upper()}{str(error)[1:]}"
