"""The monitor's end of the process in which memories grow: it never waits. What does not fit is dropped and counted."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any

from monitor.learning.memory_messages import Message
from monitor.processes import child_command, child_environment, how_it_died
from monitor.threads.channel import HandOver
from monitor.threads.stage import Stage, join_all

_NICE = 10  # watching has priority over learning
_MOST_WAITING = 8_000_000  # bytes; half a minute of 10 cameras
_GOODBYE_S = 5.0  # it writes all memories when it ends


class MemoryLink:
    """Starts the process at once, at low priority. Raises OSError if the machine has no room for it.

    dropped  frames that were not sent, because the process is too slow
    """

    def __init__(self, folder: Path) -> None:
        self.dropped = 0
        self._waiting: HandOver[bytes] = HandOver()
        self._lines: deque[dict[str, Any]] = deque(maxlen=1000)
        self._process = subprocess.Popen(  # noqa: S603 - a command of this program
            child_command("monitor.learning.memory_process", str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C in the terminal must reach only the monitor
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)
        self._stages = [
            Stage("memory's messages", self._write, lambda _: None),
            Stage("memory's report", self._listen, lambda _: None),
        ]
        for stage in self._stages:
            stage.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Hand over a message; it is dropped if too much waits."""
        encoded = message.encoded()
        look = message.kind == "look"  # what is said about a camera must not be lost because many frames wait
        if not self._waiting.offer(encoded, len(encoded), _MOST_WAITING if look else 2 * _MOST_WAITING):
            self.dropped += look

    def take_lines(self) -> list[dict[str, Any]]:
        """What the process has given since the last call."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    @property
    def ended(self) -> str | None:
        """How the process has ended, in words; None while it runs."""
        code = self._process.poll()
        return None if code is None else how_it_died(code)

    def close(self) -> None:
        """Let the process write all memories and end. One that takes too long is killed: what it wrote before stays."""
        self._waiting.close()
        deadline = time.monotonic() + _GOODBYE_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE_S)
        if self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GOODBYE_S)
        join_all(self._stages, max(0.1, deadline - time.monotonic()))

    def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError), stdin:  # the process has died
            while not self._waiting.ended:
                encoded = self._waiting.take(1.0)
                if encoded is not None:
                    stdin.write(encoded)
                elif self._process.poll() is not None:
                    return
                else:
                    stdin.flush()

    def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                with contextlib.suppress(ValueError):
                    told = json.loads(line)
                    if isinstance(told, dict):
                        self._lines.append(told)
