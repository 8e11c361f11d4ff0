"""Breaks sentences into lines for a terminal, so that the commands in them can be copied."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TextIO

_CHUNK = re.compile(r"[^\s`]*`[^`]*`[^\s`]*|\S+")


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most ``width`` characters. A line breaks only between words.

    A command (between backticks) stays on one line; if it is too long, it gets a line of its own. The terminal breaks
    that line only on the screen.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for chunk in _CHUNK.findall(paragraph):
            if line and len(line) + 1 + len(chunk) > width:
                lines.append(line)
                line = chunk
            else:
                line = f"{line} {chunk}" if line else chunk
        lines.append(line)
    return lines


def for_stream(text: str, stream: TextIO) -> str:
    """The text, wrapped if the stream is a terminal. A file or a pipe keeps each sentence on one line."""
    if not stream.isatty():
        return text
    return "\n".join(wrapped(text, shutil.get_terminal_size().columns))


def complain(text: str) -> None:
    """Write a safe sentence to stderr."""
    sys.stderr.write(f"{for_stream(text, sys.stderr)}\n")
