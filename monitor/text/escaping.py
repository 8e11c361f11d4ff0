"""Makes control characters visible: a terminal would obey them. See ``monitor.text.outside``."""

from __future__ import annotations

import re

_NOT_ASCII = re.compile(r"[^\x20-\x7e]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def cleaned(text: str) -> str:
    """The text on one line: each character that cannot be printed becomes its escape, such as ``\\x1b`` or ``\\n``.

    These are control characters, marks that change the direction of writing, and bytes of file names that are no UTF-8.
    """
    return _NOT_ASCII.sub(_escape, text)


def cleaned_lines(text: str) -> str:
    """The same for a text of several lines, such as a traceback: line breaks stay, tabs become spaces."""
    return "\n".join(map(cleaned, text.expandtabs().split("\n")))


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    number = ord(letter)
    if letter.isprintable():
        return letter
    if letter in _NAMED:
        return _NAMED[letter]
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name that is no UTF-8, as Python reads it
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
