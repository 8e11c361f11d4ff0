"""A terminal that never makes the main loop wait: what it does not take now is written later."""

from __future__ import annotations

import io
import os
import select
import time
from contextlib import suppress
from typing import Self, TextIO


class PatientTerminal(io.TextIOBase):
    """Writes to the terminal behind a stream. A context manager.

    A user who stops the output (Ctrl-S, a selection, a lost connection) would otherwise stop the monitor. The terminal
    is opened once more for this, because waiting is a property of an open file that other programs share.

    Draw nothing new while ``behind`` is True: call ``catch_up`` instead. So a slow terminal shows fewer pictures, and
    at most one of them waits in memory.

    at_the_end_s  how long the rest is waited for at the end, seconds
    """

    def __init__(self, stream: TextIO, at_the_end_s: float = 1.0) -> None:
        self._at_the_end_s = at_the_end_s
        self._stream = stream
        self._waiting = b""
        self._fd: int | None = None
        with suppress(OSError, ValueError):
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            self._fd = os.open(os.ttyname(stream.fileno()), flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        until = time.monotonic() + self._at_the_end_s
        while self.behind and (left := until - time.monotonic()) > 0:
            if self._fd is None:
                break
            with suppress(OSError):
                select.select([], [self._fd], [], left)
            self.catch_up()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def behind(self) -> bool:
        """Whether something still waits to be written."""
        return bool(self._waiting)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream. The type stubs call it an attribute, but it cannot be set."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's own descriptor, for its size."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write what the terminal takes now, and keep the rest."""
        if self._fd is None:  # no terminal that can be opened again
            return self._stream.write(text)
        self._waiting += text.encode(self.encoding, self._stream.errors or "replace")
        self.catch_up()
        return len(text)

    def flush(self) -> None:
        """Nothing more can be written at once."""
        if self._fd is None:
            self._stream.flush()

    def catch_up(self) -> None:
        """Write as much of the rest as the terminal takes now. A terminal that is gone takes everything."""
        try:
            while self._waiting and self._fd is not None:
                self._waiting = self._waiting[os.write(self._fd, self._waiting) :]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting = b""
