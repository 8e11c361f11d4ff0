"""Keeps events that can be taught by, and what people have said about them, in one SQLite file beside the journal.

A verdict is on the disk before it is answered, and applies again after a restart, also with a model learned anew.
The last 1,000 events of each camera without a verdict are kept: at most about 150 MB.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from monitor.alerts.camera_ids import names
from monitor.alerts.journal_file import damage_as_such
from monitor.alerts.own_database import open_own_database
from monitor.errors import RunError
from monitor.judging.event_traits import MOST_BYTES, EventTraits

log = logging.getLogger(__name__)

MOST_EVENTS = 1000
"""Events without a verdict that are kept per camera."""
MOST_VERDICTS = 500
"""Verdicts per camera. More would slow down the detectors: learn the camera again instead."""
_MOST_CHANGES = 10_000
_MARK, _VERSION = 0x54535631, 1
_TABLES = (
    "CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, camera TEXT NOT NULL, started_at REAL NOT NULL, "
    "ended_at REAL, peak REAL NOT NULL, notify INTEGER NOT NULL, detectors TEXT NOT NULL, traits BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_camera ON events (camera, started_at)",
    "CREATE TABLE IF NOT EXISTS verdicts (event_id TEXT PRIMARY KEY, camera TEXT NOT NULL, verdict TEXT NOT NULL, "
    "everywhere INTEGER NOT NULL, all_hours INTEGER NOT NULL, given_at REAL NOT NULL, given_by TEXT NOT NULL, "
    "judged TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, alert TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS changes (at REAL NOT NULL, asker TEXT NOT NULL, request TEXT NOT NULL, "
    "said TEXT NOT NULL)",
)
_DROP_OLDEST = (
    "DELETE FROM events WHERE event_id IN (SELECT event_id FROM events WHERE camera = ? AND event_id NOT IN "
    "(SELECT event_id FROM verdicts) ORDER BY rowid DESC LIMIT -1 OFFSET ?)"
)
_DROP_CHANGES = "DELETE FROM changes WHERE rowid <= (SELECT max(rowid) FROM changes) - ?"


def taught_path(journal: Path) -> Path:
    """The file of a journal: ``journal.sqlite3`` -> ``journal-taught.sqlite3`` in the same folder."""
    return journal.with_name(f"{journal.stem}-taught{journal.suffix}")


@dataclass(frozen=True, slots=True, eq=False)
class KeptEvent:
    """An event that can be taught by. Times are unix seconds; peak: 1 = the threshold."""

    event_id: str
    camera: str
    started_at: float
    ended_at: float | None
    peak: float
    notify: bool
    traits: EventTraits

    def facts(self) -> dict[str, Any]:
        """For other monitors: plain JSON values. ``of_facts`` reads them."""
        return {
            "event": self.event_id,
            "camera": self.camera,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "peak": self.peak,
            "notify": self.notify,
            "detectors": list(self.traits.names),
            "traits": base64.b64encode(self.traits.dump()).decode(),
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """An event that another monitor has kept. Raises ValueError if it is damaged."""
        try:
            names = [str(name) for name in facts["detectors"]]
            traits = EventTraits.load(base64.b64decode(facts["traits"], validate=True), names)
            ended_at = None if facts["ended_at"] is None else float(facts["ended_at"])
            return cls(
                str(facts["event"]),
                str(facts["camera"]),
                float(facts["started_at"]),
                ended_at,
                float(facts["peak"]),
                bool(facts["notify"]),
                traits,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody has said about an event.

    verdict   ``normal``, ``real``, or a name
    given_at  unix seconds; given_by: who asked
    judged    what undoes it in the calibration, see LiveCalibration.judge; and the model that was in use
    """

    event_id: str
    camera: str
    verdict: str
    everywhere: bool
    all_hours: bool
    given_at: float
    given_by: str
    judged: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """For programs: plain JSON values."""
        return {
            "event": self.event_id,
            "camera": self.camera,
            "verdict": self.verdict,
            "scope": "picture" if self.everywhere else "here",
            "all_hours": self.all_hours,
            "given_at": self.given_at,
            "given_by": self.given_by,
        }


class VerdictStore:
    """A context manager around the file. Only one thread may use it.

    On entry, raises ConfigError if the path cannot be used, and RunError if another monitor uses the file. Methods that
    change what people have said raise RunError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._complained = False

    def __enter__(self) -> Self:
        self._db = open_own_database(
            self.path, _MARK, _VERSION, _TABLES, what="the file of verdicts", lost="verdicts given so far do not apply"
        )
        # Events come while cameras are watched, so they must not wait for the disk. ``_commit`` waits for verdicts.
        self._db.execute("PRAGMA synchronous = NORMAL")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()

    def keep(self, event: KeptEvent) -> None:
        """Keep an event, or what is known of it since. Raises nothing: without it, it only cannot be taught by."""
        traits = event.traits.dump()
        if len(traits) > MOST_BYTES:
            return
        row = (
            event.event_id, event.camera, event.started_at, event.ended_at, event.peak, int(event.notify),
            ",".join(event.traits.names), traits,
        )  # fmt: skip
        try:
            with damage_as_such():
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
                # By number, not by age: a wrong clock would delete everything.
                self._db.execute(_DROP_OLDEST, (event.camera, MOST_EVENTS))
                self._db.execute("COMMIT")
            self._complained = False
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if not self._complained:
                self._complained = True
                log.warning("events cannot be kept in %s (%s): they cannot be taught by", self.path, error)

    def arrive(self, camera: str) -> None:
        """A camera is about to be judged: take over what was said about it elsewhere. Here, there is no elsewhere."""

    def event(self, event_id: str) -> KeptEvent | None:
        """An event; None if it is not kept, or damaged."""
        rows = self._read("SELECT * FROM events WHERE event_id = ?", event_id)
        return _event(rows[0]) if rows else None

    def event_ids(self, camera: str, since: float = 0.0, until: float = 1e12, *, notified: bool = False) -> list[str]:
        """The ids of a camera's events that began in this time (unix seconds), oldest first."""
        query = "SELECT event_id FROM events WHERE camera = ? AND started_at >= ? AND started_at <= ?"
        rows = self._read(query + (" AND notify" if notified else "") + " ORDER BY started_at", camera, since, until)
        return [row[0] for row in rows]

    def verdict(self, event_id: str) -> Verdict | None:
        """What was said about an event; None if nothing was."""
        rows = self._read("SELECT * FROM verdicts WHERE event_id = ?", event_id)
        return _verdict(rows[0]) if rows else None

    def verdicts(self, camera: str | None = None) -> list[Verdict]:
        """What holds now, oldest first: about a camera's events, or about all."""
        rows = self._read("SELECT * FROM verdicts WHERE ? IS NULL OR camera = ? ORDER BY given_at", camera, camera)
        return [_verdict(row) for row in rows]

    def give(self, verdict: Verdict) -> None:
        """Keep a verdict. It replaces an earlier one about the same event."""
        row = (
            verdict.event_id, verdict.camera, verdict.verdict, int(verdict.everywhere), int(verdict.all_hours),
            verdict.given_at, verdict.given_by, json.dumps(verdict.judged),
        )  # fmt: skip
        with self._commit():
            self._db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def take_back(self, event_id: str) -> None:
        """Forget the verdict about an event."""
        with self._commit():
            self._db.execute("DELETE FROM verdicts WHERE event_id = ?", (event_id,))

    def set_alert(self, name: str, alert: str) -> None:
        """Say when events with a name notify: ``as-scored``, ``always`` or ``never``."""
        with self._commit():
            self._db.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (name, alert))

    def alerts(self) -> dict[str, str]:
        """Name -> when its events notify, for names about which somebody has said so."""
        return dict(self._read("SELECT name, alert FROM names ORDER BY name"))

    def note(self, asker: str, request: str, said: str) -> None:
        """Record a change that somebody made."""
        with self._commit():
            self._db.execute("INSERT INTO changes VALUES (?, ?, ?, ?)", (time.time(), asker, request, said))
            self._db.execute(_DROP_CHANGES, (_MOST_CHANGES,))

    def changes(self, limit: int) -> list[dict[str, Any]]:
        """The last changes, newest first."""
        rows = self._read("SELECT at, asker, request, said FROM changes ORDER BY rowid DESC LIMIT ?", limit)
        return [{"at": at, "by": asker, "request": request, "said": said} for at, asker, request, said in rows]

    def forget(self, event_id: str) -> None:
        """Delete an event and what was said about it. ``shrink`` makes it final."""
        self._read("PRAGMA secure_delete = ON")
        with self._commit():
            self._db.execute("DELETE FROM verdicts WHERE event_id = ?", (event_id,))
            self._db.execute("DELETE FROM events WHERE event_id = ?", (event_id,))

    def forget_changes(self, camera: str, from_at: float, to_at: float, *, delete: bool) -> int:
        """Delete, or only count, the changes made in this time (unix seconds) whose sentences name a camera."""
        rows = self._read("SELECT rowid, said FROM changes WHERE at >= ? AND at <= ?", from_at, to_at)
        found = [(row,) for row, said in rows if names(str(said), camera)]
        if delete and found:
            self._read("PRAGMA secure_delete = ON")
            with self._commit():
                self._db.executemany("DELETE FROM changes WHERE rowid = ?", found)
        return len(found)

    def cameras(self) -> set[str]:
        """The cameras of which events are kept."""
        return {row[0] for row in self._read("SELECT DISTINCT camera FROM events")}

    def shrink(self) -> None:
        """Return the room of what was deleted to the file system."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with damage_as_such():
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"{self.path} cannot be read ({error}): restart the monitor, which repairs it") from error

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """What is changed in here is on the disk afterwards. Raises RunError."""
        try:
            with damage_as_such():
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise RunError(
                f"it cannot be stored in {self.path} ({error}): free space on the disk, try again"
            ) from error


def _event(row: tuple[Any, ...]) -> KeptEvent | None:
    event_id, camera, started_at, ended_at, peak, notify, detectors, content = row
    try:
        traits = EventTraits.load(content, str(detectors).split(","))
    except (ValueError, TypeError) as error:
        log.warning("the kept event %s is not used: %s", event_id, error)
        return None
    return KeptEvent(str(event_id), str(camera), float(started_at), ended_at, float(peak), bool(notify), traits)


def _verdict(row: tuple[Any, ...]) -> Verdict:
    event_id, camera, verdict, everywhere, all_hours, given_at, given_by, judged = row
    try:
        found = json.loads(judged)
    except (ValueError, TypeError):
        found = {}
    undo = found if isinstance(found, dict) else {}
    return Verdict(
        str(event_id), str(camera), str(verdict), bool(everywhere), bool(all_hours), given_at, str(given_by), undo
    )
