"""Puts secrets into the settings: ``${NAME}`` from the environment, ``file:PATH`` and ``${file:PATH}`` from a file.

A config file with these references can be copied and shown: it holds no password. Docker, Kubernetes and systemd give
passwords as variables or files.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError
from monitor.reading import KB, read_file
from monitor.settings import expanded
from monitor.text.addresses import HIDDEN
from monitor.text.redaction import hide

_LARGEST = 64 * KB
_FILE_ADVICE = {
    errno.EFBIG: "write only the value into it",
    errno.EINVAL: "name a regular file that holds only the value",
    errno.EISDIR: "name a file that holds only the value",
}
"""What to do about a file that cannot be used for a value. Others: the path or the rights are wrong."""
_WHOLE = "file:"
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Filled = dict[tuple[str, ...], set[str]]
"""Place of a setting -> the values that were put into it."""


class SecretsError(ConfigError):
    """References that cannot be replaced, one line each.

    places  of the settings that hold them, which keep their text
    filled  what was put into the others
    """

    def __init__(self, mistakes: Sequence[tuple[tuple[str, ...], str]], filled: Filled) -> None:
        super().__init__("\n".join(f"setting '{'.'.join(place)}': {what}" for place, what in mistakes))
        self.places = {place for place, _ in mistakes}
        self.filled = filled


def fill_in(content: dict[str, Any], skipped: Collection[str] = (), environ: Mapping[str, str] = os.environ) -> Filled:
    """Replace the references in all texts of ``content`` by their values, in place.

    Within a text, ``${NAME}`` and ``${file:PATH}`` are replaced; a text ``file:PATH`` is replaced as a whole. ``$${``
    stands for the two characters ``${``. White space at the end of a file is left out.

    skipped  settings that are not looked at (dotted keys), because something else replaces them

    Raises SecretsError with one line per setting, after all others have been replaced. It never holds a value.
    """
    filled: Filled = {}
    mistakes: list[tuple[tuple[str, ...], str]] = []

    def value_of(place: tuple[str, ...], value: Any) -> Any:
        if ".".join(place) in skipped:
            return value
        match value:
            case dict():
                return {key: value_of((*place, key), inner) for key, inner in value.items()}
            case list():
                return [value_of(place, inner) for inner in value]
            case str():
                try:
                    whole, values = _filled(value, environ)
                except ValueError as error:
                    mistakes.append((place, str(error)))
                    return value
                if values:
                    filled.setdefault(place, set()).update(values)
                return whole
        return value

    content.update({key: value_of((key,), inner) for key, inner in list(content.items())})
    if mistakes:
        raise SecretsError(mistakes, filled)
    return filled


def without_values(sentence: str, filled: Filled) -> str:
    """A sentence about a mistake, without the values that were put into the setting that it names."""
    for place, values in filled.items():
        if f"'{'.'.join(place)}'" in sentence or f"'{'.'.join(place[:-1])}'" in sentence:
            for value in sorted(values, key=len, reverse=True):
                sentence = sentence.replace(value, HIDDEN)
    return sentence


def hide_secrets_of(settings: object, filled: Filled) -> None:
    """Hide the values in all output from now on, if they may be secrets.

    Numbers, paths, and settings that stand above all groups (the node's name) are none.
    """
    for place, values in filled.items():
        value = settings
        for part in place:
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
        if len(place) > 1 and isinstance(value, str | tuple | list):
            for secret in values:
                hide(secret)


def secret_named(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The value that a reference stands for. Raises ConfigError; it never holds the value."""
    try:
        return _filled(text, environ)[0]
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _filled(text: str, environ: Mapping[str, str]) -> tuple[str, set[str]]:
    """The text with values in place of references, and the values. Raises ValueError."""
    if text.startswith(_WHOLE):
        content = _of_file(text.removeprefix(_WHOLE))
        return content, {content}
    values: set[str] = set()

    def value_of(reference: re.Match[str]) -> str:
        if reference[0] == "$${":
            return "${"
        value = _of_reference(reference[1], environ)
        values.add(value)
        return value

    return _REFERENCE.sub(value_of, text), values


def _of_reference(name: str | None, environ: Mapping[str, str]) -> str:
    if name is not None and name.startswith(_WHOLE):
        return _of_file(name.removeprefix(_WHOLE))
    if name is None or not _NAME.fullmatch(name):
        # What stands there may be a password that is no reference at all, so it is not shown.
        raise ValueError("'${' is not followed by NAME} or file:PATH}: write $${ if the value itself holds ${")
    value = environ.get(name, "")
    if not value:
        state = "empty" if name in environ else "not set"
        raise ValueError(f"the environment variable {name} is {state}: set it before the start")
    if not value.isprintable():
        raise ValueError(f"the environment variable {name} holds control characters: set it again")
    return value


def _of_file(name: str) -> str:
    path = expanded(Path(name))
    try:
        if not name:
            raise ValueError("'file:' is not followed by a path: write file:PATH")
        content = read_file(path, _LARGEST)
        mode = path.stat().st_mode
    except OSError as error:
        advice = _FILE_ADVICE.get(error.errno or 0, "check the path and its owner")
        raise ValueError(f"cannot read the file {path} ({error.strerror}): {advice}") from None
    if mode & stat.S_IROTH:
        raise ValueError(f"every user can read the file {path}: run `chmod o-r` on it")
    try:
        text = content.decode().rstrip()
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is no text (UTF-8): write only the value into it") from None
    if not text:
        raise ValueError(f"the file {path} is empty: write the value into it")
    if not text.isprintable():
        raise ValueError(f"the file {path} holds several lines or control characters: write only the value into it")
    return text
