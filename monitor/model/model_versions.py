"""A folder of versions of one model: ``v0001``, ``v0002`` ..., each a complete model folder.

A version is written beside the others and renamed into place, so it is there whole or not at all. The newest is used;
one that is damaged is passed over, with a warning, for the one before it.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from monitor.errors import ModelError
from monitor.text.commands import learn_command

log = logging.getLogger(__name__)

KEEP = 5
"""Versions that stay; older ones are removed when a new one has been written."""
_VERSION = re.compile(r"v([0-9]{4,})")

Loaded = TypeVar("Loaded")


def version_folders(folder: Path) -> list[Path]:
    """The versions in a folder, the newest first; none where the folder is missing or holds none."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return []
    return sorted((e for e in entries if _VERSION.fullmatch(e.name) and e.is_dir()), key=version_number, reverse=True)


def version_number(folder: Path) -> int:
    """The number of a version's folder, 1 for ``v0001``."""
    return int(folder.name[1:])


def next_version(folder: Path) -> Path:
    """Where the next version belongs; numbers are never used again as long as a later version is there."""
    versions = version_folders(folder)
    return folder / f"v{version_number(versions[0]) + 1 if versions else 1:04d}"


def prune(folder: Path, keep: int = KEEP) -> None:
    """Remove all versions but the newest ones. What cannot be removed is left."""
    for version in version_folders(folder)[keep:]:
        shutil.rmtree(version, ignore_errors=True)


def newest_usable(versions: Sequence[Path], load: Callable[[Path], Loaded]) -> Loaded:
    """Load the newest version that can be used. Raises the newest one's ModelError where none can."""
    first: ModelError | None = None
    for version in versions:
        try:
            loaded = load(version)
        except ModelError as error:
            first = first or error
            continue
        if first is not None:
            log.warning("%s; its older version %s is used instead", first, version)
        return loaded
    raise first or ModelError(f"there is no version of this model: learn one with `{learn_command()}`")
