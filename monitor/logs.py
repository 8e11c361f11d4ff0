"""Log lines and tracebacks for people, without passwords."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

from monitor.redact import RedactingFormatter, redact


def log_to_stderr(*, verbose: bool) -> logging.Handler:
    """Send log lines to stderr; returns the handler."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.addHandler(handler)
    return handler


def redact_tracebacks() -> None:
    """Hide credentials in the tracebacks of errors that nobody caught."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = hook
