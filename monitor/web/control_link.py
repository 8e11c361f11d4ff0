"""The page's requests to the monitor's control socket, each with the name of the user who asks."""

from __future__ import annotations

import threading

from monitor.alerts.control import ControlReply, ControlRequest
from monitor.client.controller import Controller
from monitor.errors import MonitorError, RunError
from monitor.web.bus_reader import BusAddress

MOST_AT_ONCE = 4
"""Requests that the page has open at the monitor; others wait, so that no viewer can keep the monitor busy."""
ANSWER_S = 10.0
PREVIEW_S = 60.0
"""A preview judges the alarms of a month again."""
_TURN_S = 10.0


class ControlLink:
    """Any thread may use it. A connection is made for each request, so none is left behind.

    bus  where the monitor is
    """

    def __init__(self, bus: BusAddress) -> None:
        self._bus = bus
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._at: str | None = None  # None until the monitor's heartbeat has told it

    def ask(self, request: ControlRequest, person: str = "", wait_s: float = ANSWER_S) -> ControlReply:
        """The monitor's reply, which may be an error. person: for whom, for the monitor's record of changes.

        Raises MonitorError if the monitor does not answer, refuses the page's keys, or takes no requests.
        """
        if not self._free.acquire(timeout=_TURN_S):
            raise RunError("the page asks the monitor for too much at once: try again in a moment")
        try:
            with Controller(self._bus.alerts, self._at, keys=self._bus.keys, timeout_s=wait_s) as controller:
                self._at = controller.endpoint
                return controller.ask(request.model_copy(update={"person": person}))
        except MonitorError:
            self._at = None  # a monitor that has restarted may have another address
            raise
        finally:
            self._free.release()
