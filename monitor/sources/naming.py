"""Names of cameras. A name becomes part of ZeroMQ topics, and of the names of files and folders."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST_NAME = 64
"""Longest name of a camera, characters."""
NAME_PATTERN = rf"[A-Za-z0-9_][A-Za-z0-9_.\-]{{0,{LONGEST_NAME - 1}}}"
"""Every name: neither ``.`` nor ``..``, which are folders, nor a hidden file, nor an option of a command."""
NAME_RULE = f"use letters, digits, '-', '_' and '.', at most {LONGEST_NAME}, and begin with a letter, a digit or '_'"

_NAME = re.compile(NAME_PATTERN)
_DIGITS = 6  # of a checksum
_ROOM = 4  # characters for a counter such as -123


def is_name(text: str) -> bool:
    """Whether this can be the name of a camera."""
    return _NAME.fullmatch(text) is not None


def safe_name(text: str) -> str:
    """The text with only letters, digits and ``- _ .``; each run of other characters becomes one ``-``.

    If letters of other scripts are lost, the name gets a checksum: two texts that differ in such letters must not share
    a model. Empty if the text has no letter and no digit.
    """
    whole = unicodedata.normalize("NFC", text)
    name = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9_.\-]+", "-", whole)).strip("-.")
    lost = any(c.isalnum() and not unicodedata.normalize("NFKD", c)[0].isascii() for c in whole)
    return "-".join(filter(None, (name, checksum(text)))) if lost else name


def name_of(text: str) -> str:
    """A name for a file or folder with this name, never empty."""
    name = safe_name(text)
    return f"stream-{name or checksum(text)}" if name in ("", checksum(text)) else name


def shortened(name: str) -> str:
    """The name, cut to leave room for a counter; a name that is cut gets a checksum, so that names stay distinct."""
    longest = LONGEST_NAME - _ROOM
    return name if len(name) <= longest else f"{name[: longest - _DIGITS - 1]}-{checksum(name)}"


def address_mark(label: str) -> str | None:
    """Digits that differ if the shown addresses of two network cameras differ; None for anything else."""
    return checksum(label) if "://" in label else None


def checksum(text: str) -> str:
    """Six hex digits that differ if the texts differ. The same for a text, however its accents are coded."""
    content = unicodedata.normalize("NFC", text).encode(errors="surrogatepass")
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
