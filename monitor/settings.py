"""The base of all groups of settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, field_validator


class Settings(BaseModel):
    """A group of settings: frozen, checked when it is made, unknown keys are errors.

    A path may begin with ``~``, as in a shell.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return expanded(value) if isinstance(value, Path) else value

    def but(self, **changes: Any) -> Self:
        """These settings with some values changed, checked again. Raises ValidationError, a ValueError."""
        return type(self)(**{**dict(self), **changes})


def given_path(text: str) -> Path:
    """A path of a command line, with the home folder in place of ``~``: systemd and ``--flag=~/x`` leave it there."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises an error without a home folder


def expanded(path: Path) -> Path:
    """The path with a home folder in place of ``~`` at its beginning. Raises ValueError if there is no such folder."""
    try:
        whole = path.expanduser()
    except RuntimeError:
        whole = path
    if str(whole).startswith("~"):
        raise ValueError(f"no home folder is known for '{whole.parts[0]}': write the whole path")
    return whole
