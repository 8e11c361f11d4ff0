"""The process of a node: it watches the cameras that it is given, until it is told to end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from monitor.app.fleet.said_error import SaidError
from monitor.errors import RunError
from monitor.machines.fleet_asking import AwayError, FleetAsker
from monitor.machines.fleet_node import FleetNode

log = logging.getLogger("monitor")

PUMP_S = 0.1
GOODBYE_S = 5.0
"""How long a node waits at its end until the gateway has all that it had to tell. The rest is told when it is back."""
FIRST_ANSWER_S = 3.0


def check_head(coordinator: str, token: str) -> None:
    """Ask the head once, so that a wrong token is known at once. Raises MonitorError; not if the head is away."""
    try:
        with FleetAsker(coordinator, token, FIRST_ANSWER_S) as asker:
            asker.status()
    except AwayError:
        log.warning(
            "the head of the fleet at %s does not answer yet: this node waits for it; start it, or correct --head",
            coordinator,
        )


def run_node(node: FleetNode, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Run a node until ``stop`` is set; then it lets its cameras go, and tells what is left.

    ready: called when the node runs. Raises SaidError if the fleet does not take it, and as FleetNode on entry.
    """
    with node:
        ready()
        while not stop.is_set():
            node.pump(PUMP_S)
            if node.link.error:
                raise SaidError(RunError.exit_code)  # the link has logged it
        node.link.close_cameras()
        deadline = time.monotonic() + GOODBYE_S
        while not node.link.closed and time.monotonic() < deadline:
            node.link.pump(PUMP_S)
