"""What the signals of a terminal and of a service manager do: Ctrl-C and SIGTERM end a run, SIGHUP reloads it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from monitor.sinks.dashboard.pressed_keys import restore_terminals
from monitor.text.streams import takes_output

_hung_up = threading.Event()
"""Set by a SIGHUP that came before the run began."""


def note_hang_ups() -> None:
    """Until the run begins, a SIGHUP is only noted: a service manager may ask for a reload at any time."""
    _hung_up.clear()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: _hung_up.set())


def obey_signals(stop: threading.Event, reload: threading.Event | None) -> None:
    """Install the signal handlers.

    The first Ctrl-C (or SIGTERM) sets ``stop``. The second kills the process at once. SIGHUP sets ``reload``. After the
    terminal was closed, and in the demo, which has nothing to reload, it sets ``stop``. A monitor that was started by
    ``nohup`` continues.
    """
    detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    terminal = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)

    def on_stop(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            restore_terminals()
            if sys.stdout.isatty() and takes_output(sys.stdout):  # a stopped terminal must not keep it from ending
                os.write(1, b"\x1b[?1049l\x1b[?25h")  # leave the alternate screen, show the cursor
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGINT, on_stop)
    signal.signal(signal.SIGTERM, on_stop)

    def on_hang_up(_number: int, _frame: FrameType | None) -> None:
        try:
            if terminal is not None:
                os.tcgetpgrp(terminal)
        except OSError:  # the terminal was closed
            if not detached:
                stop.set()
            return
        (reload or stop).set()

    signal.signal(signal.SIGHUP, on_hang_up)
    if _hung_up.is_set():
        on_hang_up(signal.SIGHUP, None)
