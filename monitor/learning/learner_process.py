"""The process that learns: ``python -m training learn`` at low priority, and the progress that it reports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from monitor.learning.learning_plan import LearningPlan
from monitor.processes import child_command, child_environment, how_it_died
from monitor.threads.stage import Stage, join_all

_NICE = 10  # watching has priority over learning
_GOODBYE_S = 2.0
SILENT_S = 300.0
"""A process that reports nothing for this long hangs; it is killed. It reports every few seconds that it runs."""
LONGEST_S = 12 * 3600.0
"""A process that takes longer than this, seconds, is killed: no footage takes so long."""
_REFUSED = 2  # its exit code if it cannot learn from this footage


class LearnerProcess:
    """Starts the process at once. The main thread may read all attributes while two threads read the process's output.

    step      the present step, for display
    fraction  progress towards the next version, 0..1
    complete  True once no further version will be written

    Raises OSError if the machine has no room for a process.
    """

    def __init__(self, plan: LearningPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self.step, self.fraction, self.complete = "", 0.0, False
        self._lines: deque[str] = deque(maxlen=100)
        self._versions: deque[Path] = deque()
        self._error = self._killed_for = ""
        self._clock = clock
        self._started_at = self._heard_at = clock()
        arguments = [str(plan.footage), "--name", plan.name, "--models", str(plan.folder.parent)]
        arguments += ["--detectors", ",".join(plan.detectors), "--device", plan.device, "--json"]
        arguments += ["--analysis-fps", str(plan.analysis_fps), "--watched", str(plan.watched)]
        arguments += ["--false-alarms-per-day", str(plan.false_alarms_per_day)]
        arguments += [] if plan.max_ms is None else ["--max-ms", str(plan.max_ms)]
        self._process = subprocess.Popen(  # noqa: S603 - a command of this program
            child_command("training", "learn", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=child_environment(),
            # Ctrl-C in the terminal must reach only the monitor, which ends this process. The session is also the group
            # of the processes that this one starts.
            start_new_session=True,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)
        self._listeners = [
            Stage("learner's progress", self._listen, lambda _: None),
            Stage("learner's errors", self._listen_to_errors, lambda _: None),
        ]
        for stage in self._listeners:
            stage.start()

    @property
    def pid(self) -> int:
        """The process id. It is also the id of its group."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True once the process has ended and all its output has been read. A process that hangs is killed here."""
        if self._process.returncode is None:
            if not self._has_exited():
                self._kill_if_hanging()
                return False
            # Processes that it started would hold its output open. Its id cannot be used again before ``poll``.
            self._signal(signal.SIGKILL)
            self._process.poll()
        return not any(stage.alive for stage in self._listeners)

    @property
    def error(self) -> str | None:
        """Why the process failed; None if it still runs or has succeeded."""
        code = self._process.poll()
        if self._killed_for:
            return self._killed_for
        if code in (None, 0):
            return None
        if code == -signal.SIGKILL:
            return "the process that learns was killed (SIGKILL), perhaps because memory ran out"
        if code < 0:
            return f"the process that learns ended with {how_it_died(code)}"
        return self._error or f"the process that learns ended with exit code {code}"

    @property
    def refused(self) -> bool:
        """True if the process cannot learn from this footage. After every other error, another try may succeed."""
        return self._process.poll() == _REFUSED and not self._killed_for

    def take_lines(self) -> list[str]:
        """The lines for the log that it has printed since the last call."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def take_version(self) -> Path | None:
        """The folder of a version that has been written since the last call, or None."""
        return self._versions.popleft() if self._versions else None

    def close(self) -> None:
        """End the process if it still runs, and all that it has started. The versions that it has written are kept."""
        if self._process.returncode is None and not self._has_exited():
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + _GOODBYE_S
            while not self._has_exited() and time.monotonic() < deadline:
                time.sleep(0.02)
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
            # Even a killed process does not end while it waits for a broken disk. It must not stop the monitor.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GOODBYE_S)
        join_all(self._listeners, _GOODBYE_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None and not any(stage.alive for stage in self._listeners):
                stream.close()

    def _has_exited(self) -> bool:
        """Whether the process has exited. It is not reaped, so its id still belongs to its group."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        except ChildProcessError:
            return True

    def _kill_if_hanging(self) -> None:
        now = self._clock()
        if now - self._heard_at > SILENT_S:
            self._killed_for = f"the process that learns hung: it reported nothing for {SILENT_S:.0f} s, and was killed"
        elif now - self._started_at > LONGEST_S:
            self._killed_for = f"the process that learns took longer than {LONGEST_S / 3600:.0f} h, and was killed"
        else:
            return
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Send a signal to the process and to the processes that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard_at = self._clock()
            with contextlib.suppress(ValueError, TypeError, KeyError):  # not a line of the report
                self._understand(json.loads(line))

    def _understand(self, told: dict[str, object]) -> None:
        if "say" in told:
            self._lines.append(str(told["say"]))
        elif "version" in told:
            self.step, self.fraction = "", 0.0
            self._versions.append(Path(str(told["version"])))
        elif "complete" in told:
            self.complete = True
        elif "step" in told:
            self.step, self.fraction = str(told["step"]), float(str(told["overall"]))

    def _listen_to_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            # This is the error sentence of the command, or the last line of a traceback, which names the error.
            if line.strip() and not line.startswith((" ", "Traceback")):
                self._error = line.removeprefix("error: ").strip()
