"""Every error the monitor raises on purpose, each with one sentence that says what to do.

MonitorError
├── UsageError            exit code 2: something the user gave cannot be used
│   ├── ConfigError       a setting is unknown or out of range
│   ├── SourceError       a path, folder or file that is no source of frames
│   └── ModelError        a model folder that is missing, damaged or foreign
├── RunError              exit code 1: a run that could not start or go on
│   ├── BindError         a ZeroMQ address that cannot be bound
│   ├── RefusedError      a client whose keys the monitor does not accept, or the other way round
│   ├── LostError         a client that must not lose a message has lost one
│   └── StageError        a thread of the pipeline failed
└── CaptureError          a camera's own trouble, retried by its capture thread
    └── StallError        the camera is connected but sends nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MonitorError(Exception):
    """Base of all errors raised on purpose; its text is shown to the user as it is."""

    exit_code = 1


class UsageError(MonitorError):
    """Something the user gave cannot be used."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, of the wrong kind or out of range."""


class SourceError(UsageError):
    """A path, folder or file that is no source of frames."""


class ModelError(UsageError):
    """A model folder that is missing, damaged or not this program's."""


class RunError(MonitorError):
    """A run that could not start or go on."""


class BindError(RunError):
    """A ZeroMQ address that cannot be bound."""


class RefusedError(RunError):
    """Client and monitor do not agree on keys."""


class LostError(RunError):
    """A message was sent that can no longer be had."""


class StageError(RunError):
    """A thread of the pipeline failed; the cause is chained."""


class CaptureError(MonitorError):
    """A live camera could not be opened or read; its capture thread tries again."""


class StallError(CaptureError):
    """A live camera is connected but has sent nothing within the read deadline."""


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where the first thing wrong stands, as a dotted name ("" for the whole), and what is wrong with it."""
    problem = error.errors(include_url=False, include_input=False)[0]
    return ".".join(str(part) for part in problem["loc"]), problem["msg"]
