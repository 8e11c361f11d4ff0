"""What the files of the state folder keep of a camera: counted, or deleted, kind by kind.

``Forgetter`` puts the kinds together. A new place that keeps something per camera needs a function here.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.alerts.journal import Journal, JournalError
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.moments_place import moments_folder
from monitor.app.normal_place import normal_folder
from monitor.delivery.ledger import Ledger, ledger_path
from monitor.errors import RunError
from monitor.learning.footage import CARD
from monitor.sinks.evidence.evidence_files import began_at, folder_name, is_partial
from monitor.sinks.moments.moment_files import WATCHED
from monitor.sinks.normal.normal_sink import MASKS
from monitor.state_folder import CALIBRATIONS, CHOICES, MEMORIES
from monitor.teaching.verdict_store import VerdictStore

_FILES_PER_STEP = 20

Count = Generator[None, None, int]
"""Counts, or deletes, in small steps; returns the number."""


@dataclass(frozen=True)
class Places:
    """Where things are. evidence: None if there is none. Other things are beside the journal."""

    journal: Journal
    store: VerdictStore
    evidence: Path | None
    moments: Path
    normal: Path
    models: Path

    @property
    def beside(self) -> Path:
        """The folder of the journal."""
        return self.journal.path.parent


def places_of(settings: MonitorConfig, journal: Journal, store: VerdictStore) -> Places:
    """Where a run with these settings keeps things."""
    evidence = settings.evidence.folder if settings.evidence.enabled or settings.evidence.folder.is_dir() else None
    return Places(journal, store, evidence, moments_folder(settings), normal_folder(settings), settings.models_folder)


def messages(places: Places, camera: str, from_at: float, to_at: float, *, delete: bool, at_rest: bool) -> Count:
    """Messages in the journal. at_rest: no monitor runs, so no event is open. Raises RunError."""
    try:
        return (yield from places.journal.forget(camera, from_at, to_at, delete=delete, at_rest=at_rest))
    except JournalError as error:
        raise RunError(f"the messages of {camera} cannot be deleted: {error}") from None


def dated_files(folder: Path | None, camera: str, from_at: float, to_at: float, *, delete: bool, whole: bool) -> Count:
    """Files of events or moments that began in this time (unix seconds). Raises RunError.

    whole: also what belongs to no event: files that were not completed, how long the camera was watched, and which
    masks it had
    """
    if folder is None:
        return 0
    own, count = folder / folder_name(camera), 0
    for path in _dated(own, from_at, to_at, whole=whole):
        if delete:
            _remove(path)
        count += 1
        if count % _FILES_PER_STEP == 0:
            yield
    if delete:
        for day in sorted(own.glob("*")) if own.is_dir() else []:
            with suppress(OSError):  # it holds other files
                day.rmdir()
        with suppress(OSError):
            own.rmdir()
    return count


def taught(
    store: VerdictStore, camera: str, from_at: float, to_at: float, *, delete: bool
) -> Generator[None, None, dict[str, int]]:
    """Verdicts, events kept to teach by, and sentences about changes that name the camera. Raises RunError."""
    ids = store.event_ids(camera, from_at, to_at)
    judged = [event_id for event_id in ids if store.verdict(event_id) is not None]
    for event_id in ids if delete else []:
        store.forget(event_id)
        yield
    changes = store.forget_changes(camera, from_at, to_at, delete=delete)
    if delete and (ids or changes):
        store.shrink()
    return {"verdict": len(judged), "kept event": len(ids), "recorded change": changes}


def threshold_file(places: Places, camera: str, *, delete: bool) -> int:
    """What its threshold has learned. Raises RunError."""
    return _array_file(places.beside / CALIBRATIONS, camera, delete=delete)


def memory_file(places: Places, camera: str, *, delete: bool) -> int:
    """What its memory has learned from what was watched. Raises RunError."""
    return _array_file(places.beside / MEMORIES, camera, delete=delete)


def models(places: Places, camera: str, *, delete: bool) -> dict[str, int]:
    """Versions of its model, and recordings to learn from. Raises RunError."""
    folder = places.models / camera
    versions = [path.parent for path in (*folder.glob("model.json"), *folder.glob("*v*/model.json"))]
    recordings = list(folder.glob(f"*/{CARD}"))
    if delete and (versions or recordings) and folder.is_dir():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"{folder} cannot be deleted ({error.strerror}): check its rights") from None
    return {"model version": len(versions), "recording": len(recordings)}


def choice(places: Places, camera: str, *, delete: bool) -> int:
    """The budget and arming that clients chose. Raises RunError."""
    path = places.beside / CHOICES
    if not path.exists():
        return 0
    store = ChoiceStore(path)
    chosen = store.of(camera)
    found = chosen != chosen.forgotten()
    if delete and found:
        store.choose(camera, chosen.forgotten())
    return int(found)


def delivery_states(places: Places, camera: str, *, delete: bool) -> int:
    """What receivers remember of it. Not while a monitor runs, which owns the file. Raises RunError."""
    path = ledger_path(places.journal.path)
    if not path.exists():
        return 0
    with Ledger(path) as ledger:
        return counted_states(ledger, camera, delete=delete)


def counted_states(ledger: Ledger, camera: str, *, delete: bool) -> int:
    """The receivers that remember something of it. Raises RunError."""
    try:
        return ledger.forget(camera, delete=delete)
    except sqlite3.Error as error:
        raise RunError(f"{ledger.path} cannot be changed ({error}): free space on the disk, try again") from error


def set_aside(places: Places) -> list[str]:
    """Names of damaged files that earlier runs have set aside. They may hold anything, so they are not searched."""
    return sorted(path.name for path in places.beside.glob("*.damaged*"))


def _dated(folder: Path, from_at: float, to_at: float, *, whole: bool) -> Iterator[Path]:
    for path in sorted(folder.glob("????-??-??/*")) if folder.is_dir() else []:
        if (whole and is_partial(path.name)) or ((began := began_at(path)) is not None and from_at <= began <= to_at):
            yield path
    for name in (WATCHED, MASKS):
        if whole and (folder / name).is_file():
            yield folder / name


def _array_file(folder: Path, camera: str, *, delete: bool) -> int:
    path = folder / f"{camera}.safetensors"
    found = [each for each in (path, path.with_name(f".{path.name}.partial")) if each.exists()]
    for each in found if delete else []:
        _remove(each)
    return int(bool(found))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be deleted ({error.strerror}): check its folder's rights") from None
