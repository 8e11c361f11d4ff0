"""How the offline commands give out what they found."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from monitor.errors import RunError, UsageError


class Post(StrEnum):
    """What becomes of raw scores: ``causal`` as it runs live, ``published`` offline as in the publication."""

    CAUSAL = "causal"
    PUBLISHED = "published"


def terminal_width() -> int | None:
    """Characters in a line of the terminal that is printed to; None where it is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def make_writable(folder: Path, option: str) -> None:
    """Make the folder and see that files can be written there, before long work is done for nothing.

    option: what the user gave it with. Raises UsageError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"cannot write to {folder} ({error.strerror}): give another {option}") from None


def check_output_file(path: Path, option: str) -> None:
    """Make the file's folder and see that it can be written. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file as {option}")
    make_writable(path.parent, option)


@contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """Folders that were not there before are taken away again where nothing has come into them."""
    new = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    try:
        yield
    finally:
        for path in sorted(new, key=lambda path: len(path.parts), reverse=True):  # the inner ones first
            with suppress(OSError):
                path.rmdir()


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
