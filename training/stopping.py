"""How a command ends early: by Ctrl-C, by SIGTERM, or with the program that started it; always within some seconds."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children

from monitor.processes import end_with_parent

DEADLINE_S = 8.0
"""Seconds from the signal to the end, at most."""
STOPPED = 130
"""Exit code of a command that was stopped."""


@contextmanager
def stopping_in_time(deadline_s: float = DEADLINE_S) -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, and so does the end of the program that started this one as a child.

    If the command is still at work ``deadline_s`` seconds after the signal, the process ends at once, with the
    processes that it has started. A long computation in native code would otherwise delay the end by minutes.

    Main thread only.
    """
    end_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
    # Python calls a handler only between two steps of the main thread. The number of the signal arrives here at once.
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_end_if_late, args=(told, deadline_s), name="deadline", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(tell)


def kill_children() -> None:
    """Kill all processes that this process has forked to work for it."""
    for child in active_children():
        child.kill()


def _end_if_late(told: int, deadline_s: float) -> None:
    """Wait for a signal, then for the end of the command. ``told`` closes at that end."""
    end_at: float | None = None
    while True:
        left_s = None if end_at is None else max(0.0, end_at - time.monotonic())
        if not select.select([told], [], [], left_s)[0]:
            break
        numbers = os.read(told, 64)
        if not numbers:
            os.close(told)
            return
        if end_at is None and {signal.SIGINT, signal.SIGTERM} & set(numbers):
            end_at = time.monotonic() + deadline_s
    kill_children()
    os.write(2, f"stopped: the work in progress did not end within {deadline_s:g} s and was cut off\n".encode())
    os._exit(STOPPED)
