"""Can what a run writes be written, and is there room for it?"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from monitor.app.config import JournalConfig
from monitor.app.doctor.finding_report import Finding, State
from monitor.sinks.evidence.evidence_settings import EvidenceSettings

_GB = 1e9
_SCORE_BYTES = 130
"""A line of a score record, about."""
_EVENT_BYTES = 0.6e6
"""Pictures and clip of a short event, about."""
_LITTLE = 0.5 * _GB
"""Less free space than this is soon gone."""

_ADVICE = {
    errno.EACCES: "let this user write there, or choose another place",
    errno.EROFS: "it is mounted read-only: choose another place",
    errno.ENOSPC: "delete something, or choose another disk",
    errno.EDQUOT: "delete something, or choose another disk",
    errno.ENOTDIR: "a part of it is a file: choose another place",
}


def check_evidence(evidence: EvidenceSettings) -> Finding:
    """The evidence folder: writable, and room for ``keep_gb``."""
    folder = evidence.folder
    problem = _writable("evidence", folder)
    if problem is not None:
        return problem
    held, free = _size(folder), _free(folder)
    missing = evidence.keep_bytes - held - free
    found = (
        f"{folder} can be written, holds {held / _GB:.1f} GB of at most {evidence.keep_gb:g}, {free / _GB:.1f} GB free"
    )
    found += f", room for about {min(evidence.keep_bytes, held + free) / _EVENT_BYTES:,.0f} short events"
    if missing > 0:
        fits = (held + 0.9 * free) / _GB
        mend = f"set keep_gb = {max(0.1, fits):.1f} or lower, delete {missing / _GB:.1f} GB, or choose another disk"
        return Finding("disk", "evidence", State.PROBLEM if free < _LITTLE else State.WARNING, found, mend)
    return Finding("disk", "evidence", State.OK, found)


def check_journal(journal: JournalConfig) -> Finding:
    """The journal's file: it can be made or written, and there is room for ``max_mb``. It is left as it is."""
    path = journal.path
    if path.is_dir():
        return Finding("disk", "journal", State.PROBLEM, f"{path} is a folder", "give the name of a file")
    problem = _writable("journal", path.parent)
    if problem is not None:
        return problem
    held, free = _journal_bytes(path), _free(path)
    missing = journal.max_mb * 1e6 - held - free
    found = f"{path} can be written, holds {held / 1e6:.0f} MB of at most {journal.max_mb:g}, {free / _GB:.1f} GB free"
    if _damaged(path):
        mend = "nothing: a run keeps it aside and begins a new one; look at it if its messages are needed"
        return Finding("disk", "journal", State.WARNING, f"{path} is no journal, or a damaged one", mend)
    if missing > 0:
        state = State.PROBLEM if free < _LITTLE else State.WARNING
        return Finding(
            "disk", "journal", state, found, f"make room, {missing / 1e6:.0f} MB are missing, or lower max_mb"
        )
    return Finding("disk", "journal", State.OK, found)


def _journal_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _damaged(path: Path) -> bool:
    """Not even the beginning of an SQLite file; one that is in use by another monitor can be asked, too."""
    if not _journal_bytes(path):
        return False
    with path.open("rb") as file:
        return file.read(16) != b"SQLite format 3\0"


def check_records(scores: Path | None, alerts: Path | None, scores_a_second: float) -> Iterator[Finding]:
    """The files of --record-scores and --record-alerts."""
    for name, path, bytes_a_day in (
        ("record-scores", scores, 86_400 * scores_a_second * _SCORE_BYTES),
        ("record-alerts", alerts, 0.0),
    ):
        if path is not None:
            yield _check_file(name, path, bytes_a_day)


def _check_file(name: str, path: Path, bytes_a_day: float) -> Finding:
    if not path.parent.is_dir():
        return Finding("disk", name, State.PROBLEM, f"{path.parent} is no folder", "make it, or choose another place")
    if path.is_dir():
        return Finding("disk", name, State.PROBLEM, f"{path} is a folder", "give the name of a file")
    problem = _writable(name, path.parent)
    if problem is not None:
        return problem
    if path.exists() and not os.access(path, os.W_OK):
        return Finding("disk", name, State.PROBLEM, f"{path} cannot be written", _ADVICE[errno.EACCES])
    free = _free(path)
    found = f"{path} can be written{', and would be overwritten' if path.exists() else ''}, {free / _GB:.1f} GB free"
    if bytes_a_day:
        found += f", about {bytes_a_day / _GB:.2g} GB a day"
    if free < max(_LITTLE, bytes_a_day):
        return Finding("disk", name, State.WARNING, found, "make room, or choose another disk")
    return Finding("disk", name, State.OK, found)


def _existing(path: Path) -> Path:
    """The path itself or the nearest parent that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def _writable(name: str, folder: Path) -> Finding | None:
    """Write a file without a name where the folder is or would be made; None if that goes well."""
    place = _existing(folder)
    if not place.is_dir():
        return Finding("disk", name, State.PROBLEM, f"{place} is a file, not a folder", "choose another folder")
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        mend = _ADVICE.get(error.errno or 0, "choose another place")
        return Finding("disk", name, State.PROBLEM, f"{folder} cannot be written: {error.strerror}", mend)
    return None


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # deleted meanwhile, by a monitor that runs
    return total
