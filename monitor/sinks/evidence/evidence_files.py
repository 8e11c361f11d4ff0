"""Names of evidence files, and a disk that may fail.

    FOLDER/<camera>/<YYYY-MM-DD>/<HHMMSS.mmm>-<number>-start.jpg, -peak.jpg, .mp4, .json

Date and time are those of the event's start in UTC, ``number`` counts the camera's events of the run: the names are
known when the event starts, so its first message can tell them.
"""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""After a failure nothing is written for so long, seconds."""


@dataclass(frozen=True, slots=True)
class EvidenceFiles:
    """The files of one event, relative to the evidence folder, with ``/`` between folders.

    folder       ``<camera>/<YYYY-MM-DD>``
    stem         what the files' names begin with
    clip_suffix  ``.mp4`` or ``.webm``
    """

    folder: str
    stem: str
    clip_suffix: str

    @classmethod
    def of(cls, camera: str, started_at: float, number: int, clip_suffix: str) -> EvidenceFiles:
        """The files of a camera's event. started_at: unix seconds; number: the event's in this run."""
        start = datetime.fromtimestamp(int(started_at * 1000) / 1000, UTC)
        folder = f"{folder_name(camera)}/{start:%Y-%m-%d}"
        return cls(folder, f"{start:%H%M%S}.{round(start.microsecond / 1000):03d}-{number}", clip_suffix)

    @property
    def name(self) -> str:
        """What all the files' names begin with, folder included."""
        return f"{self.folder}/{self.stem}"

    @property
    def start(self) -> str:
        """Picture of the event's start."""
        return f"{self.name}-start.jpg"

    @property
    def peak(self) -> str:
        """Picture of its highest score."""
        return f"{self.name}-peak.jpg"

    @property
    def clip(self) -> str:
        """The clip."""
        return f"{self.name}{self.clip_suffix}"

    @property
    def facts(self) -> str:
        """What the alert said, as JSON."""
        return f"{self.name}.json"

    @property
    def all(self) -> tuple[str, ...]:
        """All four, in the order in which they appear."""
        return (self.start, self.facts, self.peak, self.clip)


def folder_name(camera: str) -> str:
    """A camera's name as the name of a folder: no separators, no leading dot; changed names stay distinct."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", camera)
    safe = re.sub(r"^\.", "_", safe)
    return safe if safe == camera else f"{safe}-{zlib.crc32(camera.encode()):08x}"


def partial_path(path: Path) -> Path:
    """Where a file is written until it is whole: hidden, beside it, with its suffix."""
    return path.with_name(f".{path.stem}.partial{path.suffix}")


class Disk:
    """The evidence folder of a disk that may be full, read-only or gone: failures are counted, said once, tried again.

    written, bytes  files that are there whole, and their size
    lost            files that could not be written
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.written = 0
        self.bytes = 0
        self.lost = 0
        self._clock = clock
        self._retry_at: float | None = None

    @property
    def usable(self) -> bool:
        """False for a while after a failure."""
        return self._retry_at is None or self._clock() >= self._retry_at

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all; ``name`` is relative to the folder."""
        if not self.usable:
            self.lost += 1
            return
        path = self.folder / name
        partial = partial_path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            old = path.stat().st_size if path.exists() else None
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            discard(partial)
            self.failed(error)
        else:
            self.succeeded(len(content), old)

    def succeeded(self, size: int, old: int | None = None) -> None:
        """A file of ``size`` bytes is there, in place of one of ``old`` bytes if any."""
        self.written += old is None
        self.bytes += size - (old or 0)
        if self._retry_at is not None:
            self._retry_at = None
            log.info("evidence is written again to %s", self.folder)

    def failed(self, error: Exception) -> None:
        """A file is lost."""
        self.lost += 1
        if self._retry_at is None:
            reason = getattr(error, "strerror", None) or str(error)
            log.warning(
                "evidence is lost, %s cannot be written: %s; alerts go on, and it is tried again every %.0f s",
                self.folder,
                reason,
                RETRY_S,
            )
        self._retry_at = self._clock() + RETRY_S


def discard(path: Path) -> None:
    """Delete a file that may not be there, on a disk that may not let it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        log.debug("%s cannot be deleted", path)
