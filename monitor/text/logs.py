"""Log lines and tracebacks for users, safe to show: without passwords and control characters."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

from monitor.text.outside import safe_lines
from monitor.text.streams import takes_output
from monitor.text.wording import counted


def log_to_stderr(*, verbose: bool) -> None:
    """Write log lines with their time to stderr: only warnings, or everything if ``verbose``.

    A second call adds no second handler. Call this function before any code that may log: a line that is logged
    without a handler is printed without its time.
    """
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if verbose else logging.WARNING)
    if not any(isinstance(handler, StderrHandler) for handler in root.handlers):
        root.addHandler(StderrHandler())


@contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keep log lines off the terminal while a live view uses it; afterwards restore the handlers and the level."""
    root = logging.getLogger()
    level = root.level
    handlers = [handler for handler in root.handlers if isinstance(handler, StderrHandler)]
    for handler in handlers:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(level)


class RedactingFormatter(logging.Formatter):
    """A log formatter. Lines and tracebacks hold no credentials and no control characters.

    Further lines of one message are indented, so that a line break in a file name cannot forge a line of the log.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The formatted record, safe to show."""
        return safe_lines(super().format(record)).replace("\n", "\n    ")


class StderrHandler(logging.StreamHandler[TextIO]):
    """Leaves out lines that stderr does not take now, and says later how many.

    A stopped terminal (Ctrl-S) or a pipe that nobody reads would otherwise stop the thread that logs: the main loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left_out = 0
        self.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, unless that would have to wait."""
        if not takes_output(self.stream, 0.0 if self._left_out else 0.02):
            self._left_out += 1
            return
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            text = f"{counted(left_out, 'log line')} left out: stderr took no output"
            super().emit(logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING", "msg": text}))
        super().emit(record)


def redact_tracebacks() -> None:
    """Redact credentials in the tracebacks of uncaught errors, also in those of threads. Escape control characters."""

    def hook(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.write(safe_lines("".join(traceback.format_exception(kind, error, trace))))

    def in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_type is not SystemExit:
            hook(told.exc_type, told.exc_value, told.exc_traceback)

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        hook(told.exc_type, told.exc_value, told.exc_traceback)

    sys.excepthook = hook
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
