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
from collections.abc import Callable
from pathlib import Path

MOST_MEMORY = 4 * 2**30
"""Memory of a decoder, bytes: a stream that claims gigantic pictures must not take the memory of the machine."""
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


def limit_memory(most: int = MOST_MEMORY) -> None:
    """Let this process have at most so many bytes of memory for data."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def die_first() -> None:
    """If the machine runs out of memory, the system kills this process before the monitor. Failures do not matter."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_DIE, encoding="ascii")
