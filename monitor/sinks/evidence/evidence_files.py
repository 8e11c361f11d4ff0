"""Names of evidence files, and writing to a disk that may fail.

    FOLDER/<camera>/<YYYY-MM-DD>/<HHMMSS.mmm>-<number>-start.jpg, -peak.jpg, -normal.jpg, .mp4, .json

Date and time are the event's start in UTC. ``number`` counts the camera's events in the run. The names are known when
the event starts, so that its first message can list them.
"""

from __future__ import annotations

import errno
import logging
import math
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from monitor.private_files import make_private_folder, write_private

log = logging.getLogger(__name__)

_NAME = re.compile(r"(\d{6}\.\d{3}-\d+)(-start\.jpg|-peak\.jpg|-normal\.jpg|\.mp4|\.webm|\.json)")
_PLACE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/\d{4}-\d{2}-\d{2}")
_PARTIAL = re.compile(r"\.\d{6}\.\d{3}-\d+\S*\.partial\.\w+")
RETRY_S = 30.0
"""After a failure, nothing is written for this many seconds: for one camera, or if the disk fails, for all."""
_WHOLE_DISK = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV", "ESTALE", "EMFILE", "ENFILE", "ENOMEM")
)
"""Errors that concern every camera. Any other, such as a folder without permission, concerns only its camera."""


@dataclass(frozen=True, slots=True)
class EvidenceFiles:
    """The files of one event, relative to the evidence folder, with ``/`` between folders.

    folder       ``<camera>/<YYYY-MM-DD>``
    stem         common beginning of the file names
    clip_suffix  ``.mp4`` or ``.webm``
    """

    folder: str
    stem: str
    clip_suffix: str

    @classmethod
    def of(cls, camera: str, started_at: float, number: int, clip_suffix: str) -> EvidenceFiles:
        """Return the files of one event. started_at: unix seconds; number: number of the event in this run."""
        start = datetime.fromtimestamp(int(started_at * 1000) / 1000, UTC)
        folder = f"{folder_name(camera)}/{start:%Y-%m-%d}"
        return cls(folder, f"{start:%H%M%S}.{round(start.microsecond / 1000):03d}-{number}", clip_suffix)

    @property
    def name(self) -> str:
        """Common beginning of all the file names, with the folder."""
        return f"{self.folder}/{self.stem}"

    @property
    def start(self) -> str:
        """Picture of the event's start."""
        return f"{self.name}-start.jpg"

    @property
    def peak(self) -> str:
        """Picture at the highest score."""
        return f"{self.name}-peak.jpg"

    @property
    def normal(self) -> str:
        """Small picture of the nearest normal moment. Not every event has one."""
        return f"{self.name}-normal.jpg"

    @property
    def clip(self) -> str:
        """The clip."""
        return f"{self.name}{self.clip_suffix}"

    @property
    def facts(self) -> str:
        """Facts of the alert, as JSON."""
        return f"{self.name}.json"

    @property
    def all(self) -> tuple[str, ...]:
        """The four files that every event has, in the order in which they appear."""
        return (self.start, self.facts, self.peak, self.clip)


def folder_name(camera: str) -> str:
    """Convert a camera name to a folder name without separators or a leading dot.

    A changed name gets a checksum, so that names stay distinct.
    """
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", camera)
    safe = re.sub(r"^\.", "_", safe)
    return safe if safe == camera else f"{safe}-{zlib.crc32(camera.encode()):08x}"


def evidence_of(name: str) -> str | None:
    """The event (EvidenceFiles.stem) to which a file with this name belongs; None if it is not a name of evidence."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def is_evidence_name(name: str) -> bool:
    """Whether this is the name of a file of evidence relative to its folder, as messages list it."""
    place, _, file = name.rpartition("/")
    return evidence_of(file) is not None and _PLACE.fullmatch(place) is not None


def found_evidence(folder: Path, name: str) -> Path | None:
    """The complete path of a file of evidence; None if it is not there, or if this is no name of evidence.

    The name comes from a message, so it is text from outside: no other file, and none outside the folder, is found.
    """
    if not is_evidence_name(name):
        return None
    try:
        path = (folder / name).resolve(strict=True)
        inside = path.is_relative_to(folder.resolve(strict=True)) and path.is_file()
    except (OSError, RuntimeError, ValueError):  # it is not there (yet), or a link leads round
        return None
    return path if inside else None


def began_at(path: Path) -> float | None:
    """When the event of a file began, unix seconds, by its name and folder; None if they do not say so."""
    stem = evidence_of(path.name)
    if stem is None:
        return None
    try:
        stamp = datetime.strptime(f"{path.parent.name} {stem[:10]}", "%Y-%m-%d %H%M%S.%f")
    except ValueError:
        return None
    return stamp.replace(tzinfo=UTC).timestamp()


def is_partial(name: str) -> bool:
    """Whether this is the name of a file of evidence that is not complete, see ``partial_path``."""
    return _PARTIAL.fullmatch(name) is not None


def partial_path(path: Path) -> Path:
    """Return the hidden path beside ``path``, with the same suffix, for a file until it is complete."""
    return path.with_name(f".{path.stem}.partial{path.suffix}")


class Disk:
    """The evidence folder on a disk that may be full, read-only or missing.

    Failures are counted and logged once. Writing is tried again later. A failure that concerns only the folder of one
    camera does not stop the others.

    written, bytes  number of complete files, and their total size
    lost            number of files that could not be written
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.written = 0
        self.bytes = 0
        self.lost = 0
        self._clock = clock
        self._retry_at: dict[str, float] = {}  # by folder of a camera; "" for the whole disk

    def usable(self, name: str) -> bool:
        """False for a while after a failure that concerns this file; ``name`` is relative to the folder."""
        return all(self._clock() >= self._retry_at.get(part, -math.inf) for part in ("", _camera_part(name)))

    def write(self, name: str, content: bytes) -> None:
        """Write a file completely or not at all; ``name`` is relative to the folder."""
        if not self.usable(name):
            self.lost += 1
            return
        path = self.folder / name
        partial = partial_path(path)
        try:
            make_private_folder(path.parent)
            old = path.stat().st_size if path.exists() else None
            write_private(partial, content)
            partial.replace(path)
        except OSError as error:
            discard(partial)
            self.failed(name, error)
        else:
            self.succeeded(name, len(content), old)

    def succeeded(self, name: str, size: int, old: int | None = None) -> None:
        """Count a written file of ``size`` bytes. ``old``: size of the file that it replaces, None if none."""
        self.written += old is None
        self.bytes += size - (old or 0)
        for part in ("", _camera_part(name)):
            if self._retry_at.pop(part, None) is not None:
                log.info("evidence can be written again to %s", self.folder / part)

    def failed(self, name: str, error: OSError) -> None:
        """Count a lost file; logs the first failure."""
        self.lost += 1
        part = "" if error.errno in _WHOLE_DISK else _camera_part(name)
        if part not in self._retry_at:
            reason = error.strerror or str(error)
            log.warning(
                "evidence is lost, %s cannot be written: %s; alerts continue, and writing is tried again every %.0f s",
                self.folder / part,
                reason,
                RETRY_S,
            )
        self._retry_at[part] = self._clock() + RETRY_S


def _camera_part(name: str) -> str:
    """The folder of the camera in the name of a file."""
    return name.partition("/")[0]


def discard(path: Path) -> None:
    """Delete a file if it exists. Failures are only logged."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        log.debug("%s cannot be deleted", path)
