"""The store of a fleet: what each camera has learned, so that no camera learns again when it changes its node.

A folder per camera: ``learned.json`` names the versions of its model and other files, each a file named by the SHA-256
of its content. A file is complete and has the right content, or it is not there. ``learned.json`` is replaced whole.
No sockets here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from monitor.client.saved_pictures import file_name
from monitor.errors import ConfigError, RunError, UsageError
from monitor.machines.fleet_state import read_marked, write_atomically
from monitor.machines.store_messages import PIECE_BYTES, KeptFile, KeptVersion, Learned
from monitor.private_files import make_private_folder, open_private
from monitor.reading import open_file
from monitor.settings import Settings

log = logging.getLogger("monitor")

FORMAT = "true-sight learned"
KEEP = 3
"""Versions per camera; older ones are removed."""
_FILE = "learned.json"
_STALE_S = 3600.0  # half a file that has not grown for so long is removed
_HASHED = 1_000_000


class _Content(Settings):
    format: Literal["true-sight learned"] = "true-sight learned"
    version: int = Field(1, ge=1, le=1)
    learned: Learned


class LearnedStore:
    """Only one thread may use it, and only one store the folder. It is made when something is written.

    Methods raise UsageError, and RunError if the disk fails, each with one sentence for people.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look(self, camera: str) -> Learned:
        """What a camera has learned. A damaged ``learned.json`` is set aside: nodes send again what they have."""
        path = self._folder(camera) / _FILE
        try:
            content = read_marked(path, FORMAT, "the list")
            return Learned() if content is None else _Content.model_validate(content).learned
        except (ConfigError, ValidationError) as error:
            if isinstance(error.__cause__, OSError):
                raise self._failed(error.__cause__, "read") from error
            return self._set_aside(path)

    def _set_aside(self, path: Path) -> Learned:
        aside = path.with_name("damaged-learned.json")
        try:
            path.replace(aside)
        except OSError as error:
            raise self._failed(error, "written") from error
        log.error("%s is damaged: it is kept as %s, and nodes send again what they have", path, aside.name)
        return Learned()

    def claim(self, camera: str, node: str, epoch: int) -> Learned:
        """A node watches the camera with this lease. Returns what was known before. UsageError if a newer one does."""
        before = self.look(camera)
        self._check(camera, before, node, epoch)
        if (before.epoch, before.node) != (epoch, node):
            self._write(camera, before.model_copy(update={"epoch": epoch, "node": node}))
        return before

    def piece(self, camera: str, file: KeptFile, offset: int) -> bytes:
        """A piece of a file: at most PIECE_BYTES."""
        try:
            with open_file(self._folder(camera) / file.digest) as stream:
                stream.seek(offset)
                return stream.read(PIECE_BYTES)
        except FileNotFoundError as error:
            raise UsageError(f"the store has no {file.name} of {camera} with this content") from error
        except OSError as error:
            raise self._failed(error, "read") from error

    def put(self, camera: str, file: KeptFile, offset: int, piece: bytes) -> int:
        """Add a piece to a file. Returns how many bytes of it are here: where the next piece begins.

        A piece that begins elsewhere is not taken. A whole file with another content is removed: UsageError.
        """
        folder = self._folder(camera)
        whole, partial = folder / file.digest, folder / f".{file.digest}.partial"
        try:
            if whole.exists() and whole.stat().st_size == file.size:
                return file.size
            make_private_folder(folder)
            have = partial.stat().st_size if partial.exists() else 0
            if have > file.size:
                partial.unlink()
                have = 0
            if offset != have or (not piece and file.size > have):
                return have
            with open_private(partial, "ab") as stream:
                stream.write(piece)
                stream.flush()
                if (have := have + len(piece)) >= file.size:
                    os.fsync(stream.fileno())
            if have < file.size:
                return have
            if digest_of(partial) != file.digest:
                partial.unlink()
                raise UsageError(f"{file.name} of {camera} has arrived damaged: it is sent again")
            partial.replace(whole)
        except OSError as error:
            with suppress(OSError):  # what a full disk has cut off
                partial.unlink(missing_ok=True)
            raise self._failed(error, "written") from error
        return file.size

    def commit(
        self, camera: str, node: str, epoch: int, version: KeptVersion | None, extras: Iterable[KeptFile]
    ) -> Learned:
        """These files hold from now on; all must be here. UsageError if another node watches the camera with a newer
        lease: what an older one has learned counts only if there is no version at all."""
        known = self.look(camera)
        extras = tuple(extras)
        if known.versions:
            self._check(camera, known, node, epoch)
        for file in (*(() if version is None else version.files), *extras):
            if not (self._folder(camera) / file.digest).exists():
                raise UsageError(f"{file.name} of {camera} has not arrived: it is sent again")
        changes: dict[str, object] = {} if epoch < known.epoch else {"epoch": epoch, "node": node}
        if version is not None and version.digest:
            others = [each for each in known.versions if each.digest != version.digest]
            changes["versions"] = (version, *others)[:KEEP]
        names = {file.name for file in extras}
        changes["extras"] = (*extras, *(file for file in known.extras if file.name not in names))
        learned = known.model_copy(update=changes)
        if learned != known:
            self._write(camera, learned)
            self._remove_others(camera, learned)
        return learned

    def _check(self, camera: str, known: Learned, node: str, epoch: int) -> None:
        if epoch < known.epoch:
            raise UsageError(
                f"what {node} has learned of {camera} is not kept, because {known.node} watches it with a newer lease"
            )

    def _folder(self, camera: str) -> Path:
        return self.folder / file_name(camera)

    def _write(self, camera: str, learned: Learned) -> None:
        content = _Content(learned=learned).model_dump(mode="json")
        try:
            write_atomically(self._folder(camera) / _FILE, json.dumps(content).encode())
        except OSError as error:
            raise self._failed(error, "written") from error

    def _remove_others(self, camera: str, learned: Learned) -> None:
        """Remove files that nothing names."""
        named = {file.digest for version in learned.versions for file in version.files}
        named |= {file.digest for file in learned.extras} | {_FILE}
        with suppress(OSError):
            for path in self._folder(camera).iterdir():
                stale = time.time() - path.stat().st_mtime > _STALE_S
                if (len(path.name) == 64 and path.name not in named) or (path.name.endswith(".partial") and stale):
                    path.unlink()

    def _failed(self, error: OSError, what: str) -> RunError:
        return RunError(
            f"the store {self.folder} cannot be {what} ({error.strerror or error}), so what cameras learn stays on "
            "their nodes: free space on its disk, or bring the disk back"
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open_file(path) as stream:
        while piece := stream.read(_HASHED):
            digest.update(piece)
    return digest.hexdigest()
