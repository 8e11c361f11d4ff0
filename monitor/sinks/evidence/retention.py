"""Deletes old evidence: by age, then by size, oldest event first. Only files with names of evidence are deleted.

The age is witnessed time (``monitor.witnessed_time``), because the wall clock may be wrong. Its record is a file in the
evidence folder.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from monitor.sinks.evidence.evidence_files import discard, evidence_of, is_partial
from monitor.text.wording import counted
from monitor.witnessed_time import SAVE_EVERY_S, Moment, WitnessedTime, read_moment

log = logging.getLogger(__name__)

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
RECORD = ".witnessed-time"
"""The record of the witnessed time, in the evidence folder. A run of less than a minute begins none."""
STALE_S = 600.0
"""An unfinished file without a write for this many seconds was left by a killed monitor."""
_ADVANCE_EVERY_S = 1.0
SHARE = 0.9
"""Deletion frees space down to this share of the budget. Otherwise every event would need a scan of the folder."""


@dataclass(slots=True)
class _Event:
    """The files of one event.

    started_at  by the wall clock of that time, unix seconds
    age_s       witnessed seconds since then; None if nobody has witnessed that time
    """

    started_at: float
    age_s: float | None
    files: list[Path] = field(default_factory=list)
    bytes: int = 0


def make_room(
    folder: Path,
    keep_s: float,
    keep_bytes: int,
    age_s: Callable[[float], float | None],
    open_names: Collection[str] = (),
) -> int:
    """Delete events older than ``keep_s`` seconds, then the oldest until the rest fits. Returns the remaining bytes.

    age_s       the age of what was written at a time in unix seconds, see ``WitnessedTime.age_s``. An event of which
                nothing is known counts as new
    open_names  names (see EvidenceFiles.name) of events that are being written; they are never deleted
    """
    events = sorted(_events(folder, age_s).items(), key=lambda one: (-(one[1].age_s or 0.0), one[1].started_at, one[0]))
    total = sum(event.bytes for _, event in events)
    target = keep_bytes if total <= keep_bytes else SHARE * keep_bytes
    emptied: set[Path] = set()
    deleted = 0
    for name, event in events:
        if (event.age_s or 0.0) <= keep_s and total <= target:
            break
        if name in open_names:
            continue
        for path in event.files:
            discard(path)
            emptied.add(path.parent)
        total -= event.bytes
        deleted += 1
    if deleted:
        log.info("%s deleted from %s, %.1f MB remain", counted(deleted, "old event"), folder, total / 1e6)
        _remove_empty(emptied)
    return total


def dates_in(folder: Path) -> list[Path]:
    """The folders of evidence, ``<camera>/<YYYY-MM-DD>``; empty if the folder is missing."""
    return [
        date
        for date in folder.glob("*/*")
        if _DATE.fullmatch(date.name) and date.is_dir() and not (date.is_symlink() or date.parent.is_symlink())
    ]


def _events(folder: Path, age_s: Callable[[float], float | None]) -> dict[str, _Event]:
    """Return all events in the folder by EvidenceFiles.name. Also deletes old unfinished files."""
    events: dict[str, _Event] = {}
    for path in _files(folder):
        try:
            stat = path.stat()
        except OSError:
            continue
        if is_partial(path.name) and (age_s(stat.st_mtime) or 0.0) > STALE_S:
            discard(path)
        stem = evidence_of(path.name)
        if stem is None:
            continue
        try:
            start = datetime.strptime(f"{path.parent.name} {stem[:10]}", "%Y-%m-%d %H%M%S.%f").replace(tzinfo=UTC)
        except ValueError:
            continue
        name = f"{path.parent.relative_to(folder).as_posix()}/{stem}"
        event = events.setdefault(name, _Event(start.timestamp(), age_s(start.timestamp())))
        event.files.append(path)
        event.bytes += stat.st_size
    return events


def _files(folder: Path) -> Iterator[Path]:
    for date in dates_in(folder):
        yield from date.iterdir()


def _remove_empty(dates: Collection[Path]) -> None:
    """Remove folders from which the last event was deleted."""
    for path in (*dates, *{date.parent for date in dates}):
        try:
            path.rmdir()
        except OSError:
            continue  # not empty


class Retention:
    """Keeps the folder within its budget. It scans the disk only from time to time.

    clock      returns the present moment, for ages
    monotonic  returns seconds, for the intervals between scans
    """

    EVERY_S = 600.0

    def __init__(
        self,
        folder: Path,
        keep_days: float,
        keep_bytes: int,
        clock: Callable[[], Moment] = read_moment,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._keep_s = keep_days * 86_400
        self._keep_bytes = keep_bytes
        self._clock = clock
        self._monotonic = monotonic
        self._time: WitnessedTime | None = None
        self._counted = 0
        self._written_then = 0
        self._next_at = self._advance_at = self._save_at = -math.inf

    def check(self, written_bytes: int, open_names: Collection[str]) -> None:
        """Free space if the interval is over, or if the bytes written since the last scan exceed the budget.

        written_bytes: total bytes that this run has written.
        """
        now = self._monotonic()
        if self._time is None:
            self._time = WitnessedTime.read(self._folder / RECORD, self._clock())
            self._save_at = now + SAVE_EVERY_S
        if now >= self._advance_at:
            self._advance_at = now + _ADVANCE_EVERY_S
            self._time.advance(self._clock())
        if now >= self._next_at or self._counted + written_bytes - self._written_then > self._keep_bytes:
            self._next_at = now + self.EVERY_S
            try:
                self._counted = make_room(self._folder, self._keep_s, self._keep_bytes, self._time.age_s, open_names)
            except OSError as error:
                log.debug("%s cannot be scanned: %s", self._folder, error)
            self._written_then = written_bytes
        if now >= self._save_at:
            self._save_at = now + SAVE_EVERY_S
            if self._counted + written_bytes - self._written_then > 0:
                self._save()

    def close(self) -> None:
        """Write the record of the witnessed time again, if there is one."""
        if self._time is not None and (self._folder / RECORD).exists():
            self._time.advance(self._clock())
            self._save()

    def _save(self) -> None:
        """Write the record of the witnessed time. A disk that cannot be written only keeps the evidence longer."""
        assert self._time is not None
        partial = self._folder / f"{RECORD}.partial"
        try:
            partial.write_text(self._time.dump(), encoding="ascii")
            partial.replace(self._folder / RECORD)
        except OSError as error:
            discard(partial)
            log.debug("%s cannot be written: %s", self._folder / RECORD, error)
