"""How the offline commands give out what they found."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from monitor.errors import RunError


class Post(StrEnum):
    """What becomes of raw scores: ``causal`` as it runs live, ``published`` offline as in the publication."""

    CAUSAL = "causal"
    PUBLISHED = "published"


def write_whole(path: Path, text: str) -> None:
    """Write a text file, or leave what was there untouched. Raises RunError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}") from None
