"""The process of a head: it starts gateway, coordinator and store, and starts each again if it ends.

None notices if others, or all, are started again: nodes go on watching meanwhile, see docs/fleet.md.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from monitor.app.fleet.said_error import SaidError
from monitor.errors import RunError
from monitor.machines.head_parts import GatewayPart, Part
from monitor.processes import child_command, child_environment, how_it_died

log = logging.getLogger("monitor")

AGAIN_S, LONGEST_AGAIN_S = 0.5, 60.0
"""A part that ended is started again after the first value, then twice as long each time, up to the second."""
STABLE_S = 60.0
"""A part that has run for so long begins with the shortest wait again."""
START_S = 60.0
"""A part that has not bound its addresses after this time is not able to."""
GOODBYE_S = 10.0
_LOOK_S = 0.1


def _module(part: Part) -> str:
    """The program of a part. Only a gateway with receivers needs what monitors need."""
    delivers = isinstance(part, GatewayPart) and part.receivers is not None
    return "monitor.app.fleet.delivering_child" if delivers else "monitor.machines.head_child"


class _Child:
    """A part as a child process. Only the main thread may use it: the child ends with the thread that started it."""

    def __init__(self, settings: Part) -> None:
        self.settings = settings
        self.name = f"the {settings.part}"
        self.addresses: Mapping[str, str] | None = None
        """Where it is, once it has told for the first time."""
        self._process: subprocess.Popen[bytes] | None = None
        self._told = b""
        self._started_at = self._again_at = 0.0
        self._wait_s = AGAIN_S

    @property
    def pid(self) -> int | None:
        """Id of the process that runs now."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process. Raises RunError."""
        self._started_at, self._told = time.monotonic(), b""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a command of this program
                child_command(_module(self.settings), self.settings.model_dump_json()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=child_environment(),
                # Ctrl-C in the terminal must reach only the head, which ends its parts in order.
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"{self.name} cannot be started ({error.strerror or error}): end other programs") from error
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def look(self) -> None:
        """Read what it has told, and start it again if it has ended. Raises RunError if it cannot run at all."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._again_at:
                with contextlib.suppress(RunError):  # tried again later
                    self.start()
            return
        self._read()
        if (code := self._process.poll()) is None:
            if self.addresses is None and now - self._started_at > START_S:
                raise RunError(f"{self.name} has not started after {START_S:g} s: see if this machine is too busy")
            return
        self._forget()
        if self.addresses is None and code > 0:
            raise SaidError(code)
        self._wait_s = AGAIN_S if now - self._started_at > STABLE_S else self._wait_s
        log.error(
            "%s has ended (%s): nodes go on watching, and it is started again in %g s",
            self.name,
            how_it_died(code),
            self._wait_s,
        )
        self._again_at = now + self._wait_s
        self._wait_s = min(LONGEST_AGAIN_S, 2 * self._wait_s)

    def end(self) -> None:
        """End the process."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(GOODBYE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._forget()

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None or self._told.endswith(b"\n"):
            return
        self._told += process.stdout.read() or b""
        if self._told.endswith(b"\n") and self.addresses is None:
            self.addresses = json.loads(self._told)
            self.settings = self.settings.but(**self.addresses)  # a free port that was found stays the same

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdout is not None:
            process.stdout.close()


def run_head(
    parts: Sequence[Part],
    stop: threading.Event,
    reload: threading.Event,
    ready: Callable[[Mapping[str, Mapping[str, str]]], None],
    reread: Callable[[], None],
) -> None:
    """Run the parts until ``stop`` is set; then end them, the coordinator first. Only for the main thread.

    ready   called once, with the addresses of each part by its name
    reread  called when ``reload`` is set

    Raises RunError if a part cannot start: SaidError if it has said why.
    """
    children = [_Child(part) for part in parts]
    told = False
    try:
        while not stop.wait(_LOOK_S):
            for child in children:
                child.look()
                if child.addresses is None:  # the next one waits, so that an address in use is said once
                    break
            if not told and all(child.addresses is not None for child in children):
                told = True
                ready({child.settings.part: child.addresses or {} for child in children})
            if reload.is_set():
                reload.clear()
                reread()
    finally:
        for child in reversed(children):
            child.end()
