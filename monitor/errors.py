"""All errors that the monitor raises on purpose. The text of each is one sentence that says what to do.

MonitorError
├── UsageError            exit code 2: the user's input cannot be used
│   ├── ConfigError       a setting is unknown, has the wrong type or is out of range
│   ├── SourceError       a path, folder or file is not a source of frames
│   │   └── UnreadableError   it cannot be read now, or holds nothing that can be watched
│   └── ModelError        a model folder is missing, damaged or not made by this program
├── RunError              exit code 1: a run could not start or could not continue
│   ├── BindError         a ZeroMQ address cannot be bound
│   ├── RefusedError      the monitor rejects the client's keys, or the client rejects the monitor's
│   ├── LostError         a client that must not lose a message has lost one
│   └── StageError        a thread of the pipeline failed
└── CaptureError          a camera failed; its capture thread tries again
    ├── StallError        the camera is connected but sends nothing
    └── ShortageError     the machine has no room for the camera; also a file is tried again
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class MonitorError(Exception):
    """Base class of all errors raised on purpose. Its text is shown to the user unchanged."""

    exit_code = 1


class UsageError(MonitorError):
    """The user's input cannot be used."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, has the wrong type or is out of range."""


class SourceError(UsageError):
    """A path, folder or file is not a source of frames."""


class UnreadableError(SourceError):
    """A path, folder or file cannot be read now, or holds nothing that can be watched."""


class ModelError(UsageError):
    """A model folder is missing, damaged or not made by this program."""


class RunError(MonitorError):
    """A run could not start or could not continue."""


class BindError(RunError):
    """A ZeroMQ address cannot be bound."""


class RefusedError(RunError):
    """The monitor rejects the client's keys, or the client rejects the monitor's."""


class LostError(RunError):
    """A message that was sent is no longer available."""


class StageError(RunError):
    """A thread of the pipeline failed; the original error is chained (``__cause__``)."""


class CaptureError(MonitorError):
    """A live camera could not be opened or read; its capture thread tries again."""


class StallError(CaptureError):
    """A live camera is connected but has sent nothing within the read timeout."""


class ShortageError(CaptureError):
    """The machine has no process, descriptor or memory left to open a source. That may change, so it is tried again."""


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The first problem: the dotted name of the field ("" for the whole input), and what is wrong with it."""
    problem = error.errors(include_url=False, include_input=False)[0]
    return ".".join(str(part) for part in problem["loc"]), in_words(problem["type"], problem["msg"], problem.get("ctx"))


def in_words(kind: str, message: str, given: Mapping[str, Any] | None = None) -> str:
    """What is wrong with an input, in words of our own that begin with "it", if the library has words of programmers.

    kind, message, given  ``type``, ``msg`` and ``ctx`` of a problem of pydantic's ValidationError
    """
    given = given or {}
    if kind == "too_short":
        return f"it must have at least {given['min_length']} entries, and has {given['actual_length']}"
    if kind == "too_long":
        # The library stops to count at the first entry too many.
        return f"it must have at most {given['max_length']} entries"
    if kind in ("string_too_short", "string_too_long"):
        most = kind == "string_too_long"
        length = given["max_length" if most else "min_length"]
        characters = "character" if length == 1 else "characters"
        return f"it must have at {'most' if most else 'least'} {length} {characters}"
    if kind == "string_pattern_mismatch":
        return _OF_PATTERNS.get(given["pattern"], "it has characters that are not allowed here, or too many")
    if kind == "union_tag_invalid":
        return f"{given['discriminator']} must be one of {given['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{given['discriminator']} is missing"
    if kind.startswith(("date_", "datetime_", "time_", "timezone_")):
        return "it must be a date and time, such as 2026-03-02T08:00:00"
    # The library's mark of a sentence of our own.
    what = _IN_WORDS.get(kind, message).removeprefix("Value error, ")
    return re.sub(r"^[A-Z]\w+ should ", "it must ", what)


_A_WHOLE_NUMBER, _A_NUMBER, _A_TRUTH = "it must be a whole number", "it must be a number", "it must be true or false"
_NAMES, _A_LIST = "it must hold names with values, as {...}", "it must be a list, as [...]"
_IN_WORDS = {
    "missing": "it is missing",
    "extra_forbidden": "it is unknown here",
    "json_invalid": "it is no JSON",
    "json_type": "it is no JSON",
    "invalid_key": "its names must be text",
    "dict_type": _NAMES,
    "mapping_type": _NAMES,
    "model_type": _NAMES,
    "model_attributes_type": _NAMES,
    "dataclass_type": _NAMES,
    "list_type": _A_LIST,
    "tuple_type": _A_LIST,
    "set_type": _A_LIST,
    "frozen_set_type": _A_LIST,
    "iterable_type": _A_LIST,
    "string_type": "it must be text",
    "path_type": "it must be a path, as text",
    "string_unicode": "it must be text in UTF-8",
    "string_not_ascii": "it must hold only ASCII characters",
    "int_type": _A_WHOLE_NUMBER,
    "int_parsing": _A_WHOLE_NUMBER,
    "int_from_float": _A_WHOLE_NUMBER,
    "int_parsing_size": "it must be a whole number of fewer digits",
    "float_type": _A_NUMBER,
    "float_parsing": _A_NUMBER,
    "finite_number": "it must be a number, and neither nan nor infinite",
    "bool_type": _A_TRUTH,
    "bool_parsing": _A_TRUTH,
    "none_required": "it must be left out",
    "recursion_loop": "it holds itself",
}
"""Kinds of problems that the library tells in words of programmers."""

_OF_PATTERNS = {
    "^[^/]+$": "it must have at least 1 character, and no /",
    "^[0-9a-f]{32}$": "it must have 32 characters, each a digit or a letter from a to f",
}
"""What a text that a pattern refuses must be."""
