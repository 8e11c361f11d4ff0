"""What a console can show, and what happens if it can show nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console


def can_redraw(console: Console) -> bool:
    """Return True if the console writes to a terminal that can move its cursor.

    ``FORCE_COLOR`` and ``TTY_COMPATIBLE`` make Rich treat a file as a terminal. In a file, each redraw would be kept.
    A dumb terminal (``TERM=dumb``) cannot move its cursor.
    """
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


@contextmanager
def output_may_fail(on_lost: Callable[[OSError], None] = lambda _: None) -> Iterator[None]:
    """Ignore that stdout takes nothing more: whoever closes a pipe wants no more.

    on_lost  told the error if the output was wanted and is lost, as on a full disk
    """
    try:
        with suppress(SystemExit, BrokenPipeError):  # Rich ends the program at a closed pipe
            yield
    except OSError as error:
        on_lost(error)
