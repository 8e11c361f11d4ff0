"""A folder of versions of one model: ``v0001``, ``v0002`` ..., each a complete model folder.

A version is written next to the others and then renamed, so it is either complete or absent. The newest version is
used. If it is damaged, a warning is logged and the version before it is used.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from monitor.errors import ModelError
from monitor.text.commands import learn_command

log = logging.getLogger(__name__)

CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
KEEP = 5
"""Number of versions to keep; older ones are removed after a new one has been written."""
_MARK = re.compile(rb'"format":\s*"true-sight-model"')
_LOOK_BYTES = 1000
_PARTIAL = re.compile(r"\..+\.([0-9]+)\.partial")  # with the id of the process that writes it
_VERSION = re.compile(r"v([0-9]{4,})")

Loaded = TypeVar("Loaded")


def version_folders(folder: Path) -> list[Path]:
    """The versions in a folder, the newest first; empty if the folder is missing or has no versions."""
    try:
        entries = list(folder.iterdir())
    except (OSError, ValueError):  # ValueError: a name with a NUL byte
        return []
    return sorted((e for e in entries if _VERSION.fullmatch(e.name) and e.is_dir()), key=version_number, reverse=True)


def version_number(folder: Path) -> int:
    """The number of a version's folder, 1 for ``v0001``."""
    return int(folder.name[1:])


def next_version(folder: Path) -> Path:
    """The folder for the next version. Its number is one more than that of the newest existing version."""
    versions = version_folders(folder)
    return folder / f"v{version_number(versions[0]) + 1 if versions else 1:04d}"


def is_ours(folder: Path) -> bool:
    """Whether the folder has the mark of a model of this program, so that it may be replaced or removed."""
    card = folder / CARD_FILE
    try:
        if not card.is_file():
            return False
        with card.open("rb") as file:
            return _MARK.search(file.read(_LOOK_BYTES)) is not None
    except OSError:
        return False


def remove_model(folder: Path) -> None:
    """Remove a model folder. Files that do not belong to a model are left, and so is a folder without its mark."""
    if not is_ours(folder):
        return
    with suppress(OSError):  # the folder holds other files, or cannot be changed
        (folder / WEIGHTS_FILE).unlink(missing_ok=True)
        (folder / CARD_FILE).unlink()
        folder.rmdir()


def prune(folder: Path, keep: int = KEEP) -> None:
    """Remove all versions except the newest ones, and what a killed process has left half written.

    Folders that are no models, and files of others in them, are left.
    """
    for version in [version for version in version_folders(folder) if is_ours(version)][keep:]:
        remove_model(version)
    for partial in folder.glob(".*.partial"):
        match = _PARTIAL.fullmatch(partial.name)
        if match is not None and not Path("/proc", match[1]).exists():
            remove_model(partial)
            with suppress(OSError):  # killed before the first file was written
                partial.rmdir()


def set_aside(version: Path) -> Path:
    """Rename a version that turned out worse than the one before it, so that it is not used. Returns its new place.

    Only the last one is kept. Raises OSError if the folder cannot be changed.
    """
    aside = version.parent / f"worse-{version.name}"
    for earlier in version.parent.glob("worse-v*"):
        remove_model(earlier)
    version.rename(aside)
    return aside


def warn_of_damage(error: ModelError, used: Path) -> None:
    """Log that a version is damaged, and which older one is used."""
    log.warning("%s; its older version %s is used instead", error, used)


def newest_usable(
    versions: Sequence[Path],
    load: Callable[[Path], Loaded],
    on_damage: Callable[[ModelError, Path], None] = warn_of_damage,
) -> Loaded:
    """Load the newest usable version. If no version is usable, raise the ModelError of the newest one.

    on_damage: called if an older version is used, with the error of the newest one and the folder of the used one
    """
    first: ModelError | None = None
    for version in versions:
        try:
            loaded = load(version)
        except ModelError as error:
            first = first or error
            continue
        if first is not None:
            on_damage(first, version)
        return loaded
    raise first or ModelError(f"this model has no versions: learn one with `{learn_command()}`")
