"""Engines as child processes of the run. They end with it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import sys
from dataclasses import dataclass

from monitor.app.engines.engine_messages import Task
from monitor.app.engines.engine_wire import Wire
from monitor.app.engines.placement import Ended
from monitor.errors import RunError
from monitor.processes import ChildWork, child_command, child_environment, how_it_died

_REAPED_S = 5.0  # a process ends this soon after it has closed its socket, or is killed


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    wire: Wire
    work: ChildWork


class LocalPlacement:
    """See Placement. Each engine is a process of this machine, with a socket of its own."""

    def __init__(self) -> None:
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()

    def start(self, task: Task) -> None:
        """Start the process and send the task. Raises RunError if the machine has no room for it."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603 - a command of this program
                    child_command("monitor.app.engines.engine_process", str(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    # On a terminal, what libraries write there would disturb the dashboard.
                    stderr=subprocess.DEVNULL if sys.stderr.isatty() else None,
                    env=child_environment(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C in the terminal must reach only the run, which ends its engines
                )
            except OSError as error:
                ours.close()
                raise RunError(
                    f"an engine cannot be started ({error.strerror}): end other programs, or use fewer engines"
                ) from error
        child = self._children[task.engine] = _Child(process, Wire(ours), ChildWork(process.pid))
        self._selector.register(child.wire, selectors.EVENT_READ, task.engine)
        child.wire.send(task)

    def pid(self, engine: int) -> int | None:
        """The process id of an engine; None if it does not run."""
        child = self._children.get(engine)
        return None if child is None else child.process.pid

    def send(self, engine: int, message: object) -> None:
        """Send a message; see Placement."""
        child = self._children.get(engine)
        if child is not None:
            child.wire.send(message)

    def receive(self, timeout_s: float) -> list[tuple[int, object]]:
        """What has arrived; see Placement."""
        found: list[tuple[int, object]] = []
        for child in self._children.values():
            child.wire.flush()
        for key, _ in self._selector.select(timeout_s):
            engine = key.data
            child = self._children[engine]
            found += [(engine, message) for message in child.wire.receive()]
            if child.wire.ended:
                found.append((engine, Ended(self._bury(engine))))
        return found

    def at_work(self, engine: int) -> bool:
        """Whether it does something; see Placement."""
        child = self._children.get(engine)
        return child is not None and child.work.shares().busy

    def kill(self, engine: int) -> None:
        """Kill the process; ``receive`` then gives its end."""
        child = self._children.get(engine)
        if child is not None:
            child.process.kill()

    def close(self) -> None:
        """Kill all that still run."""
        for engine in list(self._children):
            self.kill(engine)
            self._bury(engine)
        self._selector.close()

    def _bury(self, engine: int) -> str:
        """Wait for the end of a process that has closed its socket. Returns how it ended."""
        child = self._children.pop(engine)
        self._selector.unregister(child.wire)
        child.wire.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return how_it_died(child.process.wait(_REAPED_S))
        child.process.kill()
        return how_it_died(child.process.wait(_REAPED_S))
