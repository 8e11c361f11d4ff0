"""What people have said about events of a fleet, in one SQLite file of the head: nothing is lost while nodes are away.

A verdict is here, on the disk, before it is answered. The nodes apply it, see ``fleet_desk``.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

from monitor.alerts.control import Alerting
from monitor.alerts.journal_file import damage_as_such
from monitor.alerts.own_database import open_own_database
from monitor.errors import RunError

_MOST_CHANGES = 10_000
_MARK, _VERSION = 0x54534831, 1
_TABLES = (
    "CREATE TABLE IF NOT EXISTS said (event_id TEXT PRIMARY KEY, camera TEXT NOT NULL, node TEXT NOT NULL, "
    "verdict TEXT NOT NULL, scope TEXT NOT NULL, all_hours INTEGER NOT NULL, given_at REAL NOT NULL, "
    "given_by TEXT NOT NULL, holds INTEGER NOT NULL, told INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_camera ON said (camera)",
    "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, alert TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS changes (at REAL NOT NULL, asker TEXT NOT NULL, request TEXT NOT NULL, "
    "said TEXT NOT NULL)",
)
_DROP_CHANGES = "DELETE FROM changes WHERE rowid <= (SELECT max(rowid) FROM changes) - ?"


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody has said about an event.

    node      the one that has told the event
    verdict   ``normal``, ``real``, or a name
    given_at  unix seconds; given_by: who asked
    holds     False: it was taken back
    told      whether the node that watches the camera knows it
    """

    event_id: str
    camera: str
    node: str
    verdict: str
    scope: Literal["here", "picture"]
    all_hours: bool
    given_at: float
    given_by: str
    holds: bool = True
    told: bool = False

    def facts(self) -> dict[str, Any]:
        """For programs: plain JSON values."""
        return {
            "event": self.event_id,
            "camera": self.camera,
            "verdict": self.verdict,
            "scope": self.scope,
            "all_hours": self.all_hours,
            "given_at": self.given_at,
            "given_by": self.given_by,
            "waits": not self.told,
        }


class SaidVerdicts:
    """A context manager around the file. Only one thread may use it.

    On entry, raises ConfigError if the path cannot be used, and RunError if another head uses the file. Methods raise
    RunError if it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self._db = open_own_database(
            self.path,
            _MARK,
            _VERSION,
            _TABLES,
            what="the file of verdicts",
            lost="verdicts that wait for a node are lost, and lists begin anew; nodes keep what they know",
        )
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()

    def verdict(self, event_id: str) -> Said | None:
        """What was said about an event; None if nothing was."""
        rows = self._read("SELECT * FROM said WHERE event_id = ?", event_id)
        return _said(rows[0]) if rows else None

    def verdicts(self, camera: str | None = None) -> list[Said]:
        """What holds now, oldest first: about a camera's events, or about all."""
        query = "SELECT * FROM said WHERE holds AND (? IS NULL OR camera = ?) ORDER BY given_at, rowid"
        return [_said(row) for row in self._read(query, camera, camera)]

    def cameras(self) -> list[str]:
        """The cameras about whose events something was said."""
        return [row[0] for row in self._read("SELECT DISTINCT camera FROM said WHERE holds ORDER BY camera")]

    def waiting(self) -> list[Said]:
        """What nodes do not know yet, oldest first."""
        return [_said(row) for row in self._read("SELECT * FROM said WHERE NOT told ORDER BY given_at, rowid")]

    def give(self, said: Said) -> None:
        """Keep it. It replaces what was said about the same event."""
        row = (
            said.event_id, said.camera, said.node, said.verdict, said.scope, int(said.all_hours), said.given_at,
            said.given_by, int(said.holds), int(said.told),
        )  # fmt: skip
        with self._commit():
            self._db.execute("INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def tell(self, event_id: str, *, told: bool) -> None:
        """The node that watches the camera knows it now, or does not know it any more."""
        with self._commit():
            self._db.execute("UPDATE said SET told = ? WHERE event_id = ?", (int(told), event_id))

    def drop(self, event_id: str) -> None:
        """Nothing is said about the event any more, and its node knows that."""
        with self._commit():
            self._db.execute("DELETE FROM said WHERE event_id = ?", (event_id,))

    def set_alert(self, name: str, alert: Alerting) -> None:
        """Say when events with a name notify."""
        with self._commit():
            self._db.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (name, alert))

    def alerts(self) -> dict[str, Alerting]:
        """Name -> when its events notify, for names about which somebody has said so."""
        return dict(cast(list[tuple[str, Alerting]], self._read("SELECT name, alert FROM names ORDER BY name")))

    def note(self, asker: str, request: str, said: str) -> None:
        """Record a change that somebody made."""
        with self._commit():
            self._db.execute("INSERT INTO changes VALUES (?, ?, ?, ?)", (time.time(), asker, request, said))
            self._db.execute(_DROP_CHANGES, (_MOST_CHANGES,))

    def changes(self, limit: int) -> list[dict[str, Any]]:
        """The last changes, newest first."""
        rows = self._read("SELECT at, asker, request, said FROM changes ORDER BY rowid DESC LIMIT ?", limit)
        return [{"at": at, "by": asker, "request": request, "said": said} for at, asker, request, said in rows]

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with damage_as_such():
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"{self.path} cannot be read ({error}): restart the head, which repairs it") from error

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """What is changed in here is on the disk afterwards. Raises RunError."""
        try:
            with damage_as_such():
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise RunError(
                f"it cannot be stored in {self.path} ({error}), so nothing has changed: free space on the disk, try "
                "again"
            ) from error


def _said(row: tuple[Any, ...]) -> Said:
    event_id, camera, node, verdict, scope, all_hours, given_at, given_by, holds, told = row
    place: Literal["here", "picture"] = "picture" if scope == "picture" else "here"
    return Said(
        event_id, camera, node, verdict, place, bool(all_hours), given_at, given_by, bool(holds), bool(told)
    )  # fmt: skip
