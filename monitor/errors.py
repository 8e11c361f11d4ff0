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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


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
    return ".".join(str(part) for part in problem["loc"]), _in_words(problem)


def _in_words(problem: ErrorDetails) -> str:
    kind, given = problem["type"], problem.get("ctx", {})
    if kind == "too_short":
        return f"it must have at least {given['min_length']} entries, and has {given['actual_length']}"
    if kind == "union_tag_invalid":
        return f"{given['discriminator']} must be one of {given['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{given['discriminator']} is missing"
    # The library's mark of a sentence of our own.
    what = _IN_WORDS.get(kind, problem["msg"]).removeprefix("Value error, ")
    return re.sub(r"^[A-Z]\w+ should ", "it must ", what)


_IN_WORDS = {
    "missing": "it is missing",
    "extra_forbidden": "it is unknown here",
    "dict_type": "it must hold names with values, as {...}",
    "model_type": "it must hold names with values, as {...}",
    "list_type": "it must be a list, as [...]",
    "tuple_type": "it must be a list, as [...]",
}
"""Kinds of problems that the library tells in words of programmers."""
