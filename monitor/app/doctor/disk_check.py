"""Checks that a run can write its files and that the disk has enough free space."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from monitor.alerts.journal_owner import check_ours
from monitor.app.choice_store import read_choices
from monitor.app.config import JournalConfig
from monitor.app.doctor.finding_report import Finding, State
from monitor.errors import ConfigError
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.state_folder import CHOICES
from monitor.text.wording import listed

_GB = 1e9
_SCORE_BYTES = 130
"""Approximate size of one line of a score record."""
_EVENT_BYTES = 0.6e6
"""Approximate size of the pictures and the clip of a short event."""
_LITTLE = 0.5 * _GB
"""Less free space than this fills up soon."""

_ADVICE = {
    errno.EACCES: "let this user write there, or choose another place",
    errno.EROFS: "it is mounted read-only: choose another place",
    errno.ENOSPC: "delete something, or choose another disk",
    errno.EDQUOT: "delete something, or choose another disk",
    errno.ENOTDIR: "a part of it is a file: choose another place",
}


def check_evidence(evidence: EvidenceSettings) -> Finding:
    """Check that the evidence folder is writable and that the disk has room for ``keep_gb``."""
    folder = evidence.folder
    problem = _writable("evidence", folder)
    if problem is not None:
        return problem
    held, free = _size(folder), _free(folder)
    missing = evidence.keep_bytes - held - free
    found = f"{folder} is writable, holds {held / _GB:.1f} GB of at most {evidence.keep_gb:g}, {free / _GB:.1f} GB free"
    found += f", room for about {min(evidence.keep_bytes, held + free) / _EVENT_BYTES:,.0f} short events"
    if missing > 0:
        fits = (held + 0.9 * free) / _GB
        mend = f"set keep_gb = {max(0.1, fits):.1f} or lower, delete {missing / _GB:.1f} GB, or choose another disk"
        return Finding("disk", "evidence", State.PROBLEM if free < _LITTLE else State.WARNING, found, mend)
    return Finding("disk", "evidence", State.OK, found)


_ANOTHER = "choose another path ([journal] path)"


def check_journal(journal: JournalConfig) -> Finding:
    """Check that the journal file can be created or written and that there is room for ``max_mb``. Changes nothing."""
    path = journal.path
    if path.is_dir():
        return Finding("disk", "journal", State.PROBLEM, f"{path} is a folder", "give the name of a file")
    try:
        check_ours(path)
    except ConfigError:
        mend = "choose another path ([journal] path), or move the file away: the monitor does not replace it"
        return Finding("disk", "journal", State.PROBLEM, f"{path} is not a journal of this monitor", mend)
    except OSError as error:
        return Finding("disk", "journal", State.PROBLEM, f"{path} cannot be used ({error.strerror})", _ANOTHER)
    problem = _writable("journal", path.parent)
    if problem is not None:
        return problem
    held, free = _journal_bytes(path), _free(path)
    missing = journal.max_mb * 1e6 - held - free
    found = f"{path} is writable, holds {held / 1e6:.0f} MB of at most {journal.max_mb:g}, {free / _GB:.1f} GB free"
    if missing > 0:
        state = State.PROBLEM if free < _LITTLE else State.WARNING
        return Finding("disk", "journal", state, found, f"free {missing / 1e6:.0f} MB of disk space, or lower max_mb")
    return Finding("disk", "journal", State.OK, found)


def check_choices(journal: JournalConfig) -> Iterator[Finding]:
    """Read the budgets and arming that clients have set; nothing if there are none. Changes nothing."""
    path = journal.path.parent / CHOICES
    try:
        choices = read_choices(path)
    except FileNotFoundError:
        return
    except OSError as error:
        found = f"{path} cannot be read ({error.strerror}): budgets and arming are as the config says"
        yield Finding("disk", "choices", State.WARNING, found, "let this user read it")
        return
    except ValueError:
        found = f"{path} is damaged: budgets and arming are as the config says"
        yield Finding("disk", "choices", State.WARNING, found, "set them again, and delete this file")
        return
    words = [
        f"{name}{'' if each.per_day is None else f' {each.per_day:g} per day'}{'' if each.armed else ' disarmed'}"
        for name, each in choices.items()
    ]
    yield Finding("disk", "choices", State.OK, f"clients have chosen: {listed(words, 5)}" if words else "none")


def _journal_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def check_records(scores: Path | None, alerts: Path | None, scores_a_second: float) -> Iterator[Finding]:
    """Check the files of --record-scores and --record-alerts."""
    for name, path, bytes_a_day in (
        ("record-scores", scores, 86_400 * scores_a_second * _SCORE_BYTES),
        ("record-alerts", alerts, 0.0),
    ):
        if path is not None:
            yield _check_file(name, path, bytes_a_day)


def _check_file(name: str, path: Path, bytes_a_day: float) -> Finding:
    if not path.parent.is_dir():
        return Finding(
            "disk", name, State.PROBLEM, f"{path.parent} is not a folder", "create it, or choose another place"
        )
    if path.is_dir():
        return Finding("disk", name, State.PROBLEM, f"{path} is a folder", "give the name of a file")
    problem = _writable(name, path.parent)
    if problem is not None:
        return problem
    if path.exists() and not os.access(path, os.W_OK):
        return Finding("disk", name, State.PROBLEM, f"{path} is not writable", _ADVICE[errno.EACCES])
    free = _free(path)
    found = f"{path} is writable{', and would be overwritten' if path.exists() else ''}, {free / _GB:.1f} GB free"
    if bytes_a_day:
        found += f", about {bytes_a_day / _GB:.2g} GB per day"
    if free < max(_LITTLE, bytes_a_day):
        return Finding("disk", name, State.WARNING, found, "free disk space, or choose another disk")
    return Finding("disk", name, State.OK, found)


def _existing(path: Path) -> Path:
    """The path itself, or its nearest parent that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def _writable(name: str, folder: Path) -> Finding | None:
    """Write an unnamed temporary file where the folder is or would be created; None if that succeeds."""
    place = _existing(folder)
    if not place.is_dir():
        return Finding("disk", name, State.PROBLEM, f"{place} is a file, not a folder", "choose another folder")
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        mend = _ADVICE.get(error.errno or 0, "choose another place")
        return Finding("disk", name, State.PROBLEM, f"{folder} is not writable: {error.strerror}", mend)
    return None


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # a running monitor has deleted it meanwhile
    return total
