"""Reads files from outside: whole regular files up to a limit, and the JSON and TOML in them.

A file may be anything: a pipe that nobody writes to, a device without an end, a hundred gigabytes, a document that is
nested a thousand levels deep. All errors here are OSError or ValueError, so that a caller needs no further ones. Their
texts complete a sentence such as "cannot read X (...)".
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

KB, MB = 1_000, 1_000_000
DEEPEST = 64
"""Levels of nesting in a document. Python's own limit is far higher; what walks through a document has a lower one."""

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def real_path(path: Path) -> Path:
    """The absolute path with all links followed, as far as they lead somewhere. Raises nothing.

    ``Path.resolve`` raises RuntimeError or OSError for a link that leads to itself, depending on the version of Python.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a path with a NUL byte
        return path.absolute()


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file or folder; False if one of them leads nowhere. Raises nothing."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading. Never waits.

    Raises OSError. Its ``strerror`` says it if the path is a pipe, a device, a socket or a folder.
    """
    try:
        _check_kind(path, path.stat().st_mode)  # to open a device may already change something
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # a path with a NUL byte
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    file = os.fdopen(descriptor, "rb")
    try:
        _check_kind(path, os.fstat(descriptor).st_mode)  # of the file that is open: the path may have changed meanwhile
    except OSError:
        file.close()
        raise
    return file


def read_file(path: Path, at_most: int) -> bytes:
    """The content of a regular file of at most ``at_most`` bytes. Raises OSError, also for a larger file."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        # A file that still grows is read to the limit only.
        content = file.read(at_most + 1) if size <= at_most else b""
    if size > at_most or len(content) > at_most:
        raise OSError(errno.EFBIG, f"it is larger than {_size(at_most)}", str(path))
    return content


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON document in UTF-8. Raises ValueError.

    Also refused: nesting deeper than ``DEEPEST``, whole numbers of more than 64 bits, keys of more than 5,000
    characters, numbers that are not finite, and text that is not Unicode (half a surrogate pair), because no output
    accepts it.
    """
    try:
        return _checked(
            json.loads(_text(content), parse_int=_whole, parse_float=_finite, parse_constant=_no_number), _LONGEST_KEY
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} is no JSON" if content.strip() else "it is empty"
        raise ValueError(where) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_toml(content: bytes | str) -> dict[str, Any]:
    """The table of a TOML document in UTF-8.

    Raises ValueError, for the same reasons as ``parse_json``; a key has at most 100 characters here, and TOML knows
    infinity.
    """
    import tomllib  # processes that decode or check a source read no settings

    text = _text(content)
    # Python's parser takes seconds for a key of ten thousand parts. Dots in strings, comments and numbers cost nothing.
    bare = _NO_KEYS.sub(lambda found: "" if found[0].startswith("#") else "s", text)
    if any(part.count(".") > _DOTS for part in _BETWEEN_KEYS.split(bare)):
        raise ValueError(f"it has a key of more than {_DOTS} parts")
    try:
        return dict(_checked(tomllib.loads(text), _LONGEST_SETTING))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        # Python refuses to read a number of thousands of digits, in words for programmers.
        if "int_max_str_digits" not in str(error):
            raise
        raise ValueError(_TOO_LARGE) from None


_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
_TOO_LARGE = "it has a whole number of more than 64 bits"
_DIGITS = 21  # of the longest whole number of 64 bits, with a sign
_DOTS = 200
# Each alternative also matches a string that nobody closes, so that the search takes linear time.
_NO_KEYS = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z) | '{3}.*?(?:'{3}|\Z) | \"(?:\\[^\n]|[^\"\\\n])*\"? | '[^'\n]*'? | \#[^\n]*""",
    re.DOTALL | re.VERBOSE,
)
_BETWEEN_KEYS = re.compile(r"[^\w\-. \t]")
_LONGEST_KEY, _LONGEST_SETTING = 5000, 100


def _text(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not text in UTF-8: save the file as UTF-8") from None


def _checked(content: Any, longest_key: int) -> Any:
    level, deep = [content], 0
    while level:
        if deep == DEEPEST and any(isinstance(value, dict | list) for value in level):
            raise ValueError(_TOO_DEEP)
        below: list[Any] = []
        for value in level:
            match value:
                case dict():
                    if any(len(key) > longest_key for key in value):
                        raise ValueError(f"it has a key of more than {longest_key} characters")
                    below += [*value, *value.values()]
                case list():
                    below += value
                case str():
                    _check_text(value)
                case int() if value.bit_length() > 64:
                    raise ValueError(_TOO_LARGE)
        level, deep = below, deep + 1
    return content


def _whole(text: str) -> int:
    if len(text) > _DIGITS:  # Python would refuse thousands of them, in words for programmers
        raise ValueError(_TOO_LARGE)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("it has a number that is too large")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"it has {name} in place of a number")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has text that is not Unicode") from None


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))


def _size(count: int) -> str:
    return f"{count / MB:g} MB" if count >= MB else f"{count / KB:g} kB"
