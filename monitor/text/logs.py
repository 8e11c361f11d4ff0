"""Log lines and tracebacks for users, with passwords redacted."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

from monitor.text.redaction import RedactingFormatter, redact


def log_to_stderr(*, verbose: bool) -> None:
    """Write log lines with their time to stderr: only warnings, or everything if ``verbose``.

    A second call adds no second handler. Call this function before any code that may log: a line that is logged
    without a handler is printed without its time.
    """
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if verbose else logging.WARNING)
    if not any(isinstance(handler, _StderrHandler) for handler in root.handlers):
        root.addHandler(_StderrHandler())


@contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keep log lines off the terminal while a live view uses it; afterwards restore the handlers and the level."""
    root = logging.getLogger()
    level = root.level
    handlers = [handler for handler in root.handlers if isinstance(handler, _StderrHandler)]
    for handler in handlers:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(level)


class _StderrHandler(logging.StreamHandler[TextIO]):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))


def redact_tracebacks() -> None:
    """Redact credentials in the tracebacks of uncaught errors."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = hook
