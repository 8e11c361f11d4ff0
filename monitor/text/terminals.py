"""What a console can show, and what happens if it can show nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console


def can_redraw(console: Console) -> bool:
    """Return True if the console writes to a terminal that can move its cursor.

    ``FORCE_COLOR`` and ``TTY_COMPATIBLE`` make Rich treat a file as a terminal. In a file, each redraw would be kept.
    A dumb terminal (``TERM=dumb``) cannot move its cursor.
    """
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


@contextmanager
def output_may_fail() -> Iterator[None]:
    """Ignore that stdout takes nothing more (a full disk, a closed pipe): it must not change how a run ends."""
    with suppress(OSError, SystemExit):  # Rich ends the program at a closed pipe
        yield
