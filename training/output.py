"""Output of the offline commands: files, folders and terminal width."""

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
from monitor.reading import open_file

_LOOK_BYTES = 4096


class Post(StrEnum):
    """How raw scores are processed. ``causal``: as in a live run. ``published``: offline, as in the publication."""

    CAUSAL = "causal"
    PUBLISHED = "published"


def terminal_width() -> int | None:
    """Characters per line of the terminal; None if stdout is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def make_writable(folder: Path, option: str) -> None:
    """Create the folder and check that files can be written there, so that long work does not fail at its end.

    option: the command-line option that names the folder. Raises UsageError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"cannot write to {folder} ({error.strerror}): give another {option}") from None


def check_output_file(path: Path, option: str) -> None:
    """Create the file's folder and check that files can be written there. A file that is no text is not replaced.

    Raises UsageError.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file with {option}")
    if path.exists() and not _is_text(path):
        raise UsageError(f"{path} exists and is no text file, so it is not replaced: give another file with {option}")
    make_writable(path.parent, option)


def _is_text(path: Path) -> bool:
    if path.is_symlink():  # such as /dev/stdout: the new file would take the place of the link
        return False
    try:
        with open_file(path) as file:
            return b"\0" not in file.read(_LOOK_BYTES)
    except OSError:  # not a regular file, or it cannot be read
        return False


@contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """At the end, remove folders that did not exist before and are still empty."""
    new = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    try:
        yield
    finally:
        for path in sorted(new, key=lambda path: len(path.parts), reverse=True):  # the inner ones first
            with suppress(OSError):
                path.rmdir()


def write_whole(path: Path, text: str) -> None:
    """Write a text file completely or leave an existing file unchanged. Raises RunError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}") from None
