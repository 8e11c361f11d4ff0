"""The process of a gateway with receivers: webhooks and notifications of the whole fleet, from its journal.

``python -m monitor.app.fleet.delivering_child SETTINGS``: as ``monitor.machines.head_child``. Secrets of the receivers
are read from the config file, so that they stand on no command line.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from monitor.alerts.journal import Journal
from monitor.app.deliveries import open_deliveries
from monitor.app.fleet.fleet_cameras import read_fleet
from monitor.delivery.outbox_sink import Outbox
from monitor.machines.head_child import main
from monitor.machines.head_parts import GatewayPart, Part, Ready, run_gateway, run_part
from monitor.text.streams import flush_streams


@contextmanager
def delivering(config: Path, fleet: str, journal: Journal, stop: threading.Event) -> Iterator[Callable[[], None]]:
    """Deliver what the journal holds to the receivers of the config, as one monitor of this name. Raises ConfigError.

    What it yields hands pages of the journal to them; only the thread of the journal may call it.
    """
    settings, _, _ = read_fleet(config)
    with ExitStack() as stack:
        sinks = open_deliveries(settings.model_copy(update={"node": fleet}), journal, stack, stop=stop)
        outboxes = [sink for sink in sinks if isinstance(sink, Outbox)]

        def serve() -> None:
            for outbox in outboxes:
                outbox.serve()

        yield serve


def run(part: Part, stop: threading.Event, ready: Ready) -> None:
    """Run a part, the gateway with its receivers. Raises MonitorError."""
    if isinstance(part, GatewayPart) and (config := part.receivers) is not None:
        run_gateway(part, stop, ready, lambda journal: delivering(config, part.fleet, journal, stop))
    else:
        run_part(part, stop, ready)


if __name__ == "__main__":
    code = main(run)
    flush_streams()
    sys.exit(code)
