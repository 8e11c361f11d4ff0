"""Identifies the code and the footage of a model."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from monitor.text.redaction import redact_source

_GIT_S = 10.0  # a repository on a broken network disk must not hold up a model


def code_commit() -> str | None:
    """The git commit of this code, with ``-dirty`` if tracked files differ from it; None outside a git checkout."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return commit + ("-dirty" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def names_of_footage(sources: Iterable[str]) -> list[str]:
    """The sources as the user gave them, for a model's file: of an address only what ``redact_source`` shows."""
    # Path.exists would raise OSError for text that is too long for a path.
    names = [source if os.path.exists(source) else redact_source(source) for source in sources]  # noqa: PTH110
    # The name of a file may be any bytes, but a model's file holds only text.
    return [name.encode(errors="backslashreplace").decode() for name in names]


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_S)  # noqa: S603
    return done.stdout.strip()
