"""The process of an engine: ``python -m monitor.app.engines.engine_process FD``, with its socket to the run."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading

from monitor.processes import end_with_parent


def main(fd: int) -> int:
    """Take the task, and work until it is done. Returns the exit code."""
    from monitor.app.engines.engine_messages import Task
    from monitor.app.engines.engine_run import EngineRun
    from monitor.app.engines.engine_wire import Wire
    from monitor.app.engines.run_line import LogRelay, RunLine
    from monitor.text.logs import redact_tracebacks

    redact_tracebacks()
    wire = Wire(socket.socket(fileno=fd))
    messages: list[object] = []
    while not messages and not wire.ended:
        wire.wait(60.0)
        messages = wire.receive()
    if not messages or not isinstance(task := messages.pop(0), Task):
        return 1
    logs = LogRelay()
    logs.addFilter(lambda line: not (line.name == "monitor.alerts.control_desk" and line.levelno <= logging.INFO))
    logging.getLogger().addHandler(logs)
    logging.getLogger().setLevel(logging.DEBUG if task.verbose else logging.INFO)
    EngineRun(RunLine(wire, messages), task, logs).run()
    return 0


if __name__ == "__main__":
    end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # a service manager tells all processes; the run ends its engines
        signal.signal(number, lambda *_: None)  # not ignored: that would pass to decoders
    code = main(int(sys.argv[1]))
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)  # a thread that hangs inside FFmpeg could abort the process while the interpreter shuts down
    sys.exit(code)
