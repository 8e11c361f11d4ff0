"""Deletes old evidence: by age, then by size, oldest event first. Only files with names of evidence are deleted."""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from monitor.sinks.evidence.evidence_files import discard
from monitor.text.wording import counted

log = logging.getLogger(__name__)

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = re.compile(r"(\d{6}\.\d{3}-\d+)(-start\.jpg|-peak\.jpg|\.mp4|\.webm|\.json)")
_PARTIAL = re.compile(r"\.\d{6}\.\d{3}-\d+\S*\.partial\.\w+")
STALE_S = 600.0
"""An unfinished file without a write for this many seconds was left by a killed monitor."""
SHARE = 0.9
"""Deletion frees space down to this share of the budget. Otherwise every event would need a scan of the folder."""


@dataclass(slots=True)
class _Event:
    """The files of one event. started_at: unix seconds."""

    started_at: float
    files: list[Path] = field(default_factory=list)
    bytes: int = 0


def make_room(folder: Path, keep_s: float, keep_bytes: int, now: float, open_names: Collection[str] = ()) -> int:
    """Delete events older than ``keep_s`` seconds, then the oldest until the rest fits. Returns the remaining bytes.

    now         unix seconds
    open_names  names (see EvidenceFiles.name) of events that are being written; they are never deleted
    """
    events = sorted(_events(folder, now).items(), key=lambda item: (item[1].started_at, item[0]))
    total = sum(event.bytes for _, event in events)
    target = keep_bytes if total <= keep_bytes else SHARE * keep_bytes
    deleted = 0
    for name, event in events:
        if event.started_at >= now - keep_s and total <= target:
            break
        if name in open_names:
            continue
        for path in event.files:
            discard(path)
        total -= event.bytes
        deleted += 1
    if deleted:
        log.info("%s deleted from %s, %.1f MB remain", counted(deleted, "old event"), folder, total / 1e6)
        _remove_empty(folder)
    return total


def _events(folder: Path, now: float) -> dict[str, _Event]:
    """Return all events in the folder by EvidenceFiles.name. Also deletes old unfinished files."""
    events: dict[str, _Event] = {}
    for path in _files(folder):
        try:
            stat = path.stat()
        except OSError:
            continue
        if _PARTIAL.fullmatch(path.name) and now - stat.st_mtime > STALE_S:
            discard(path)
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        try:
            start = datetime.strptime(f"{path.parent.name} {match[1][:10]}", "%Y-%m-%d %H%M%S.%f").replace(tzinfo=UTC)
        except ValueError:
            continue
        name = f"{path.parent.relative_to(folder).as_posix()}/{match[1]}"
        event = events.setdefault(name, _Event(start.timestamp()))
        event.files.append(path)
        event.bytes += stat.st_size
    return events


def _files(folder: Path) -> Iterator[Path]:
    for date in _dates(folder):
        yield from date.iterdir()


def _dates(folder: Path) -> list[Path]:
    return [date for date in folder.glob("*/*") if _DATE.fullmatch(date.name) and date.is_dir()]


def _remove_empty(folder: Path) -> None:
    by_camera: defaultdict[Path, list[Path]] = defaultdict(list)
    for date in _dates(folder):
        by_camera[date.parent].append(date)
    for camera, dates in by_camera.items():
        for path in (*dates, camera):
            try:
                path.rmdir()
            except OSError:
                continue  # not empty


class Retention:
    """Keeps the folder within its budget. It scans the disk only from time to time."""

    EVERY_S = 600.0

    def __init__(self, folder: Path, keep_days: float, keep_bytes: int) -> None:
        self._folder = folder
        self._keep_s = keep_days * 86_400
        self._keep_bytes = keep_bytes
        self._counted = 0
        self._written_then = 0
        self._next_at = 0.0

    def check(self, written_bytes: int, open_names: Collection[str]) -> None:
        """Free space if the interval is over, or if the bytes written since the last scan exceed the budget.

        written_bytes: total bytes that this run has written.
        """
        now = time.monotonic()
        if now < self._next_at and self._counted + written_bytes - self._written_then <= self._keep_bytes:
            return
        self._next_at = now + self.EVERY_S
        try:
            self._counted = make_room(self._folder, self._keep_s, self._keep_bytes, time.time(), open_names)
        except OSError as error:
            log.debug("%s cannot be scanned: %s", self._folder, error)
        self._written_then = written_bytes
