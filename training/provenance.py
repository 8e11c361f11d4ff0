"""Identifies the code that trained a model."""

from __future__ import annotations

import subprocess
from pathlib import Path


def code_commit() -> str | None:
    """The git commit of this code, with ``-dirty`` if tracked files differ from it; None outside a git checkout."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return commit + ("-dirty" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.strip()
