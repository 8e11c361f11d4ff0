"""The process that learns: ``python -m training learn`` at low priority, and the progress that it reports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from monitor.threads.stage import Stage, join_all

_ROOT = Path(__file__).resolve().parents[2]
_NICE = 10  # watching has priority over learning
_GOODBYE_S = 2.0


class LearnerProcess:
    """Starts the process at once. The main thread may read all attributes while two threads read the process's output.

    step      the present step, for display
    fraction  progress towards the next version, 0..1
    complete  True once no further version will be written
    """

    def __init__(
        self, footage: Path, name: str, models: Path, detectors: Sequence[str], device: str, analysis_fps: float
    ) -> None:
        self.step, self.fraction, self.complete = "", 0.0, False
        self._lines: deque[str] = deque(maxlen=100)
        self._versions: deque[Path] = deque()
        self._error = ""
        command = [sys.executable, "-m", "training", "learn", str(footage), "--name", name, "--models", str(models)]
        command += ["--detectors", ",".join(detectors), "--device", device, "--json"]
        command += ["--analysis-fps", str(analysis_fps)]
        self._process = subprocess.Popen(  # noqa: S603 - a command of this program
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
            start_new_session=True,  # Ctrl-C in the terminal must reach only the monitor, which ends this process
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
    def ended(self) -> bool:
        """True once the process has ended and all its output has been read."""
        return self._process.poll() is not None and not any(stage.alive for stage in self._listeners)

    @property
    def error(self) -> str | None:
        """Why the process failed; None if it still runs or has succeeded."""
        code = self._process.poll()
        if code in (None, 0):
            return None
        return self._error or f"the process that learns ended with exit code {code}"

    def take_lines(self) -> list[str]:
        """The lines for the log that it has printed since the last call."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def take_version(self) -> Path | None:
        """The folder of a version that has been written since the last call, or None."""
        return self._versions.popleft() if self._versions else None

    def close(self) -> None:
        """End the process if it still runs. The versions that it has written are kept."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_GOODBYE_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait(_GOODBYE_S)
        join_all(self._listeners, _GOODBYE_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None and not any(stage.alive for stage in self._listeners):
                stream.close()

    def _signal(self, number: int) -> None:
        """Send a signal to the process and to the processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if "say" in told:
                self._lines.append(told["say"])
            elif "version" in told:
                self.step, self.fraction = "", 0.0
                self._versions.append(Path(told["version"]))
            elif "complete" in told:
                self.complete = True
            elif "step" in told:
                self.step, self.fraction = told["step"], told["overall"]

    def _listen_to_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            # This is the error sentence of the command, or the last line of a traceback, which names the error.
            if line.strip() and not line.startswith((" ", "Traceback")):
                self._error = line.removeprefix("error: ").strip()


def _environment() -> dict[str, str]:
    """The environment of this process, extended so that a child process finds this package and uses one core."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
