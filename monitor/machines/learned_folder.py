"""Where a monitor keeps what its cameras have learned: versions of models, thresholds, memories. Read and filled in.

A version is put beside the others under a name of its own, then renamed, as the monitor does it itself.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from monitor.machines.learned_store import digest_of
from monitor.machines.store_messages import EXTRA_FILES, VERSION_FILES, FileName, KeptFile, KeptVersion, Learned
from monitor.model.model_versions import CARD_FILE, next_version, prune, version_folders, version_number
from monitor.private_files import make_private_folder, write_private
from monitor.reading import MB, parse_json, read_file
from monitor.state_folder import CALIBRATIONS, CHOSEN, JOURNAL, MEMORIES, MODELS, TAUGHT, given_event

Fetch = Callable[[KeptFile, Path], None]
"""Writes a file of the store to a path, or raises."""
_LARGEST_CARD = 4 * MB
_KINDS: dict[FileName, tuple[Path, str]] = {
    "thresholds": (CALIBRATIONS, ".safetensors"),
    "memory": (MEMORIES, ".safetensors"),
    "taught": (TAUGHT, ".json"),
}


@dataclass(frozen=True)
class Found:
    """What a camera has learned here.

    aside  versions that were set aside, because the one before them is better
    paths  digest -> where a file of it is
    """

    versions: tuple[str, ...]
    newest: KeptVersion | None
    extras: tuple[KeptFile, ...]
    paths: dict[str, Path]
    aside: tuple[str, ...] = ()


class LearnedFolder:
    """models: the folder of all models; beside: the folder of the journal. Only one thread may use it."""

    def __init__(self, models: Path, beside: Path) -> None:
        self.models, self.beside = models, beside
        self._digests: dict[Path, tuple[int, int, str]] = {}

    @classmethod
    def of(cls, state: Path, settings: str) -> Self:
        """Where a monitor with this state folder and these settings, a checked TOML text, keeps it."""
        content: dict[str, Any] = tomllib.loads(settings)
        journal = content.get("journal", {}).get("path", state / JOURNAL)
        models = content.get("models_folder", state / MODELS)
        return cls(Path(models).expanduser(), Path(journal).expanduser().parent)

    def newest_name(self, camera: str) -> str:
        """The name of the newest version's folder; "" without one. Cheap."""
        versions = version_folders(self.models / camera)
        return versions[0].name if versions else ""

    def mark(self, camera: str) -> str:
        """Differs after each change that must be in the store at once: a version, and what people have said. Cheap."""
        try:
            taught = self._extra(camera, "taught").stat().st_mtime_ns
        except OSError:
            taught = 0
        return f"{self.newest_name(camera)} {taught}"

    def choice(self, camera: str) -> str:
        """What people have chosen for a camera, as its monitor has written it; "" if nothing."""
        try:
            return read_file(self._chosen(camera), _LARGEST_CARD).decode()
        except (OSError, ValueError):
            return ""

    def take_choice(self, camera: str, choice: str) -> None:
        """Keep what people have chosen for a camera, before it is opened. Raises OSError."""
        path = self._chosen(camera)
        if choice and choice != self.choice(camera):
            make_private_folder(path.parent)
            partial = path.with_name(f".{path.name}.taken")
            write_private(partial, choice.encode())
            partial.replace(path)

    def _chosen(self, camera: str) -> Path:
        return self.beside / CHOSEN / f"{camera}.json"

    def take_event(self, event_id: str, content: bytes) -> None:
        """Keep an event of another node, so that the monitor here can be taught by it. Raises OSError."""
        place = given_event(self.beside / TAUGHT, event_id)
        make_private_folder(place.parent)
        write_private(place, content)

    def look(self, camera: str) -> Found:
        """What a camera has learned here. What is damaged is left out: the store may have it whole."""
        paths: dict[str, Path] = {}
        digests, newest = [], None
        for folder in version_folders(self.models / camera):
            try:
                card, weights = (self._file(name, folder / name, paths) for name in VERSION_FILES)
                if _weights_named(folder) not in ("", weights.digest):
                    continue
                newest = newest or KeptVersion(number=max(1, version_number(folder)), files=(card, weights))
                digests.append(card.digest)
            except (OSError, ValueError):  # ValueError: too large
                continue
        extras = []
        for name in EXTRA_FILES:
            with suppress(OSError, ValueError):
                extras.append(self._file(name, self._extra(camera, name), paths))
        aside = []
        for card_path in (self.models / camera).glob(f"worse-v*/{CARD_FILE}"):
            with suppress(OSError):
                aside.append(self._digest(card_path))
        return Found(tuple(digests), newest, tuple(extras), paths, tuple(aside))

    def install(self, camera: str, version: KeptVersion, fetch: Fetch) -> Path:
        """Add a version, as the newest. Returns its folder. Raises OSError, and what ``fetch`` raises."""
        folder = self.models / camera
        fresh = folder / f".fetched.{os.getpid()}.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            make_private_folder(fresh)
            for file in version.files:
                fetch(file, fresh / file.name)
            after = next_version(folder)
            place = after if version_number(after) > version.number else folder / f"v{version.number:04d}"
            fresh.rename(place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            with suppress(OSError):
                folder.rmdir()  # if it is empty: a folder without a version would only be in the way
            raise
        prune(folder)
        return place

    def install_extra(self, camera: str, file: KeptFile, fetch: Fetch) -> None:
        """Replace a file besides the model. Only while no monitor has the camera. Raises as ``install``."""
        path = self._extra(camera, file.name)
        make_private_folder(path.parent)
        partial = path.with_name(f".{path.name}.fetched")
        fetch(file, partial)
        partial.replace(path)

    def _extra(self, camera: str, name: FileName) -> Path:
        folder, suffix = _KINDS[name]
        return self.beside / folder / f"{camera}{suffix}"

    def _file(self, name: FileName, path: Path, paths: dict[str, Path]) -> KeptFile:
        file = KeptFile(name=name, digest=self._digest(path), size=path.stat().st_size)
        paths[file.digest] = path
        return file

    def _digest(self, path: Path) -> str:
        """Of a file that is only replaced whole. Raises OSError."""
        status = path.stat()
        known = self._digests.get(path)
        if known is None or known[:2] != (status.st_mtime_ns, status.st_size):
            known = self._digests[path] = status.st_mtime_ns, status.st_size, digest_of(path)
        return known[2]


def _weights_named(folder: Path) -> str:
    """The digest of the weights as a version's card names it; "" if it names none. Raises OSError and ValueError."""
    card = parse_json(read_file(folder / CARD_FILE, _LARGEST_CARD))
    named = card.get("weights_sha256", "") if isinstance(card, dict) else ""
    return named if isinstance(named, str) else ""


def wins(learned: Learned, found: Found, node: str) -> bool:
    """Whether the store's newest version is to be used here, in place of what the node has.

    A node that was the last one to claim the camera may be ahead of the store.
    """
    if not learned.versions:
        return False
    newest = learned.versions[0].digest
    if found.newest is not None and found.newest.digest == newest:
        return False
    if learned.node == node and newest in found.aside:
        return False  # somebody went back to the version before it
    return learned.node != node or newest not in found.versions
