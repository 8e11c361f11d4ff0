"""Child processes of this program: how they are started, and how each ends with its parent.

A child is this Python with a module of this program. The parent starts it with ``child_command`` and
``child_environment``. The child calls ``end_with_parent`` first, unless it waits for the end of a pipe from the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MOST_MEMORY = 4 * 2**30
"""Memory of a decoder, bytes: a stream that claims gigantic pictures must not take the memory of the machine."""
_BUSY = 0.2  # of the time; one that hangs still has a thread that wakes up now and then
_ROOT = Path(__file__).resolve().parents[1]
_PARENT = "TRUE_SIGHT_PARENT"
_PR_SET_PDEATHSIG = 1
_FIRST_TO_DIE = "500"  # -1000..1000, see proc_pid_oom_score_adj(5); a user may only raise it


def child_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this program as a child.

    ``-P``: a file ``pydantic.py`` in the working directory must not be imported instead of the library.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """This process's environment, changed so that a child imports this program and uses one core.

    It names this process as the parent, for ``end_with_parent``.
    """
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # An empty part of the path would be the working directory, which -P leaves out on purpose.
    path = os.pathsep.join([str(_ROOT), *filter(None, own)])
    safe = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", _PARENT: str(os.getpid())}
    return {**os.environ, **safe, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def end_with_parent(number: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Send this process a signal when the thread that started it ends. Linux only; call it first.

    parent  process id of the parent; None: the one that ``child_environment`` named. Without one, this process was
            started by hand, and nothing changes
    """
    named = os.environ.pop(_PARENT, "")
    if parent is None:
        if not named.isdecimal():
            return
        parent = int(named)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the signal was arranged
        os._exit(1)


def ending_with_this_process() -> Callable[[], None]:
    """A ``preexec_fn`` for a program that does not call ``end_with_parent`` itself: it is killed when this one ends.

    For benchmarks: a process of many threads, such as the monitor, must not run Python between fork and exec.
    """
    parent = os.getpid()
    ctypes.CDLL(None)  # loaded before the fork
    return lambda: end_with_parent(signal.SIGKILL, parent)


def how_it_died(returncode: int) -> str:
    """The name of the signal that ended a process, or its exit code. returncode: as of subprocess, negative: a signal.

    Python has no name for most of the real-time signals.
    """
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


@dataclass(frozen=True, slots=True)
class Shares:
    """What a process did with its time; each part is a share of it, and more than 1 with several threads.

    used    on a core
    waited  ready to run, while other programs used the cores, or waiting for the disk
    """

    used: float
    waited: float

    @property
    def busy(self) -> bool:
        """Whether it did its work, as fast as the machine let it. One that hangs in a call does neither."""
        return self.used + self.waited >= _BUSY

    @property
    def starved(self) -> bool:
        """Whether the machine let it wait."""
        return self.waited >= _BUSY


class ChildWork:
    """Measures what another process does with its time, from the creation on. Linux only; otherwise, all is 0.

    From ``/proc/PID/task/*/schedstat``: time on a core in ns, then time waiting for a core in ns. pid: of the process
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen_s, self._used_s, self._waited_s = time.monotonic(), *self._read()

    def shares(self) -> Shares:
        """Since the last call."""
        (used_s, waited_s), now_s = self._read(), time.monotonic()
        elapsed_s = max(1e-3, now_s - self._seen_s)
        waited = max(0.0, waited_s - self._waited_s) / elapsed_s
        found = Shares(max(0.0, used_s - self._used_s) / elapsed_s, 1.0 if self._waits_for_disk() else waited)
        self._seen_s, self._used_s, self._waited_s = now_s, used_s, waited_s
        return found

    def _read(self) -> tuple[float, float]:
        """Seconds on a core and waiting for one, of all threads."""
        used_ns = waited_ns = 0
        for path in Path(f"/proc/{self._pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # the thread has ended
                used, waited, *_ = path.read_text().split()
                used_ns, waited_ns = used_ns + int(used), waited_ns + int(waited)
        return used_ns / 1e9, waited_ns / 1e9

    def _waits_for_disk(self) -> bool:
        try:
            return Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"
        except (OSError, IndexError):
            return False


def limit_memory(most: int = MOST_MEMORY) -> None:
    """Let this process have at most so many bytes of memory for data."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def die_first() -> None:
    """If the machine runs out of memory, the system kills this process before the monitor. Failures do not matter."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_DIE, encoding="ascii")
