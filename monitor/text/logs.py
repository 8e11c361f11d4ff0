"""Log lines and tracebacks for people, without passwords."""

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
    """Send log lines with their time to stderr: warnings, with ``verbose`` everything. Doing it again changes nothing.

    Call it before anything that may have something to say: a line without a handler comes out without its time.
    """
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if verbose else logging.WARNING)
    if not any(isinstance(handler, _StderrHandler) for handler in root.handlers):
        root.addHandler(_StderrHandler())


@contextmanager
def stderr_silenced() -> Iterator[None]:
    """While a live view has the terminal, no log line is written across it; afterwards all is as it was before."""
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
    """Hide credentials in the tracebacks of errors that nobody caught."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = hook
