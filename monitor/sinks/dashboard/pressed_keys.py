"""Keys that the user presses while the dashboard is shown, without waiting for any, and without harm to the terminal.

The terminal gives each key at once and does not show it. Ctrl-C still ends the program. Ctrl-S and Ctrl-Z lose their
meaning: they would stop a monitor that nobody meant to stop. At the end the terminal is as it was before.
"""

from __future__ import annotations

import os
import re
import select
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

_NAMES = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up",
    b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[1~": "home", b"g": "home",
    b"\x1b[F": "end", b"\x1bOF": "end", b"\x1b[4~": "end", b"G": "end",
    b"\t": "tab", b"\r": "enter", b"\n": "enter", b" ": "enter",
    b"\x1b": "escape", b"q": "escape", b"a": "a",
}  # fmt: skip
_KEY = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b|[^\x1b]", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(\[[0-?]*[ -/]*|O)?\Z")
_MOST = 1024
"""Bytes that are read at a time: a pasted text must not hold up the main loop."""

_changed: dict[int, list[Any]] = {}
"""The settings of each terminal whose keys are read, as they were before. A program that ends at once restores them."""


class Keys:
    """A context manager. ``fd``: the terminal that keys come from; anything else gives no keys."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._unfinished = b""

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        restore_terminals()

    @property
    def active(self) -> bool:
        """Whether keys are read now."""
        return self._fd in _changed

    def pressed(self) -> list[str]:
        """The names of the keys since the last call: ``up``, ``page down``, ``tab``, ``enter``, ``escape``, ``a``..."""
        if not self._in_foreground():
            return []
        self._begin()
        data = b""
        with suppress(OSError, ValueError), _no_stop():  # the terminal may be gone
            if select.select([self._fd], [], [], 0.0)[0]:
                data = os.read(self._fd, _MOST)
        before, data = self._unfinished, self._unfinished + data
        found = _UNFINISHED.search(data)
        # An escape that nothing has followed since the last call is the key itself.
        self._unfinished = found.group() if found and data != before else b""
        keys = _KEY.findall(data[: len(data) - len(self._unfinished)])
        return [_NAMES[key] for key in keys if key in _NAMES]

    def _begin(self) -> None:
        """Set up the terminal, also after the program was in the background, where its shell may have changed it."""
        if not self._in_foreground():
            return
        with suppress(termios.error, OSError), _no_stop():
            now = termios.tcgetattr(self._fd)
            if not now[3] & (termios.ICANON | termios.ECHO):
                return
            _changed.setdefault(self._fd, termios.tcgetattr(self._fd))
            now[0] &= ~termios.IXON
            now[3] &= ~(termios.ICANON | termios.ECHO)
            now[6][termios.VSUSP] = b"\0"
            now[6][termios.VMIN], now[6][termios.VTIME] = 0, 0
            termios.tcsetattr(self._fd, termios.TCSANOW, now)

    def _in_foreground(self) -> bool:
        """Whether the terminal's keys are meant for this program. In the background, reading one would stop it."""
        try:
            return os.isatty(self._fd) and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False


def restore_terminals() -> None:
    """Give each terminal back as it was, and forget the keys that nobody has read: the shell must not run them."""
    while _changed:
        fd, before = _changed.popitem()
        with suppress(termios.error, OSError), _no_stop():
            termios.tcsetattr(fd, termios.TCSANOW, before)  # to wait for the output might take for ever
            termios.tcflush(fd, termios.TCIFLUSH)


@contextmanager
def _no_stop() -> Iterator[None]:
    """Keep the system from stopping this program because it uses a terminal that belongs to another one now."""
    blocked = {signal.SIGTTOU, signal.SIGTTIN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
