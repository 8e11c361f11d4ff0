"""The process of a part of a head: gateway, coordinator or store. It ends with the head.

``python -m monitor.machines.head_child SETTINGS``: the settings of the part as JSON. When its addresses are bound, it
prints them as one line of JSON.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping

from monitor.errors import MonitorError
from monitor.machines.head_parts import PART, Part, Ready, run_part
from monitor.processes import end_with_parent
from monitor.text.command_line import keep_private, keep_quiet, say_error
from monitor.text.logs import log_to_stderr
from monitor.text.streams import flush_streams


def _ready(addresses: Mapping[str, str]) -> None:
    sys.stdout.write(f"{json.dumps(dict(addresses))}\n")
    sys.stdout.flush()


def main(run: Callable[[Part, threading.Event, Ready], None] = run_part) -> int:
    """Run the part. Returns the exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the head, which ends its parts in order
    end_with_parent()
    keep_private()
    keep_quiet()
    part = PART.validate_json(sys.argv[1])
    log_to_stderr(verbose=part.verbose)
    try:
        run(part, stop, _ready)
    except MonitorError as error:
        say_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    flush_streams()
    sys.exit(code)
