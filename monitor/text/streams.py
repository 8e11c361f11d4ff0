"""Makes the standard streams safe: they may be closed, full, or unable to show a character.

Imports only the standard library: a program calls ``prepare_streams`` before anything else opens a file.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import select
import sys
import unicodedata
from typing import TextIO

PLAIN = "true-sight-plain"
"""Name of the error handler of ``prepare_streams``: a character that the encoding lacks becomes a similar one."""

_SIZE_DIGITS = 3
"""Digits of the largest size of a terminal that the environment may claim."""

# ruff: noqa: RUF001 - the table is about such letters
_SIMILAR = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.:-=+*#", strict=True)),
    **dict.fromkeys("─╌┄–—", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict(zip("━·•…×↑↓→←", "=-*~x^v><", strict=True)),
}


def prepare_streams() -> None:
    """Open closed standard streams on the null device, let no character raise an error, believe no impossible size.

    A file that is opened while one of the descriptors 0, 1 and 2 is free would get it. Then every message of a native
    library on stderr would be written into that file, such as the journal.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            _open_null(fd)
        if getattr(sys, name) is None:  # Python found it closed
            setattr(sys, name, open(fd, "w" if fd else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)
    for name in ("COLUMNS", "LINES"):
        size = os.environ.get(name, "80")
        if not (size.isascii() and size.isdecimal() and len(size) <= _SIZE_DIGITS and int(size) > 0):
            del os.environ[name]  # Rich would believe it: 0 is an error, and a huge width takes all the memory


def flush_streams() -> None:
    """Write what is still buffered. A stream that takes nothing more (a full disk, a closed pipe) is given up quietly.

    Otherwise the interpreter would try again at its end, report an error and exit with code 120.
    """
    for fd, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                _open_null(fd)


def takes_output(stream: TextIO, within_s: float = 0.0) -> bool:
    """Whether a stream can be written without waiting longer than this. True for what is no file.

    A pipe that takes output takes 4 kB at least.
    """
    try:
        return bool(select.select([], [stream.fileno()], [], within_s)[1])
    except (OSError, ValueError):
        return True


def write_patiently(stream: TextIO, text: str, within_s: float = 0.5) -> None:
    """Write line by line; leave out the rest if a line has to wait longer. A program can then still end."""
    for line in text.splitlines(keepends=True):
        if not takes_output(stream, within_s):
            return
        stream.write(line)
        stream.flush()


def _open_null(fd: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != fd:
        os.dup2(null, fd)
        os.close(null)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded by ASCII of the same width. See codecs.register_error."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_similar, error.object[error.start : error.end])), error.end


def _similar(letter: str) -> str:
    if letter in _SIMILAR:
        return _SIMILAR[letter]
    if unicodedata.combining(letter):
        return ""
    base = unicodedata.normalize("NFKD", letter)[0]
    if base.isascii() and base.isprintable():
        return base
    return "??" if unicodedata.east_asian_width(letter) in "WF" else "?"


codecs.register_error(PLAIN, _plain)
