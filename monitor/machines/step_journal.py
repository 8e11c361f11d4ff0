"""A node's journal: what its cameras have told, until the gateway has taken it. One SQLite file.

A step is committed before it is sent. So if the node is killed, nothing is lost that comes back with its disk.
Positions grow, also over the loss of the file: they begin at the time in milliseconds.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from monitor.alerts.journal_file import damage_as_such, now_position
from monitor.alerts.own_database import open_own_database

log = logging.getLogger("monitor")

_APPLICATION_ID = 0x54534E31
_VERSION = 1
_TABLES = (
    "CREATE TABLE IF NOT EXISTS steps (position INTEGER PRIMARY KEY, camera TEXT NOT NULL, epoch INTEGER NOT NULL, "
    "age_s REAL NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL, jpeg BLOB)",
)
MOST_STEPS = 200_000
"""Of more steps that wait, the oldest are given up, and counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """A message of a camera. Fields as in StepHead, then topic, body and picture as published."""

    position: int
    camera: str
    epoch: int
    age_s: float
    topic: str
    body: bytes
    jpeg: bytes | None = None


class StepJournal:
    """A context manager around the file. Only one thread may use it.

    power_safe  whether a step is on the disk, and not only out of the process, before it is sent

    On entry, raises ConfigError if the path cannot be used, and RunError if another node uses the file. A damaged file
    is kept under another name.
    """

    def __init__(self, path: Path, *, power_safe: bool = True, most: int = MOST_STEPS) -> None:
        self.path, self._power_safe, self._most = path, power_safe, most
        self.unjournalled = 0
        """Steps that could not be stored. They are sent, but a kill would lose them."""
        self.given_up = 0
        """Steps that were removed although no gateway had taken them."""
        self._failing = False

    def __enter__(self) -> Self:
        lost = "what no gateway had taken is lost"
        self._db = open_own_database(
            self.path, _APPLICATION_ID, _VERSION, _TABLES, what="the journal of this node", lost=lost
        )
        self._db.text_factory = lambda raw: raw.decode(errors="replace")
        if not self._power_safe:
            self._db.execute("PRAGMA synchronous = NORMAL")
        with damage_as_such():
            last = self._db.execute("SELECT max(position) FROM steps").fetchone()[0]
            self._count: int = self._db.execute("SELECT count(*) FROM steps").fetchone()[0]
        self._last: int = max(last or 0, now_position())
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(sqlite3.Error):
            self._db.close()

    def __len__(self) -> int:
        return self._count

    @property
    def last_position(self) -> int:
        """Position of the last step."""
        return self._last

    def append(
        self, camera: str, epoch: int, age_s: float, topic: str, body: bytes, jpeg: bytes | None = None
    ) -> tuple[Step, bool]:
        """Store a step. Returns it, and whether it is stored; what cannot be stored is counted."""
        self._last += 1
        step = Step(self._last, camera, epoch, age_s, topic, body, jpeg)
        try:
            self._store(step)
        except sqlite3.Error as error:
            self.unjournalled += 1
            if not self._failing:
                log.error(  # noqa: TRY400 - its traceback helps nobody
                    "the journal %s of this node cannot be written (%s): alerts are sent, but a kill loses those that "
                    "the gateway has not taken; free space on the disk, or bring it back",
                    self.path,
                    error,
                )
            self._failing = True
            return step, False
        self._failing = False
        return step, True

    def page(self, after: int, limit: int = 100) -> list[Step]:
        """The next steps after a position. Raises sqlite3.Error."""
        query = "SELECT * FROM steps WHERE position > ? ORDER BY position LIMIT ?"
        with damage_as_such():
            rows = self._db.execute(query, (after, limit)).fetchall()
        return [Step(*row) for row in rows]

    def taken(self, positions: Sequence[int]) -> None:
        """The gateway has dealt with these steps: forget them. Raises sqlite3.Error."""
        with damage_as_such():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                gone = 0
                for position in positions:
                    gone += self._db.execute("DELETE FROM steps WHERE position = ?", (position,)).rowcount
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        self._count -= gone

    def _store(self, step: Step) -> None:
        """Write a step. Raises sqlite3.Error."""
        row = (step.position, step.camera, step.epoch, step.age_s, step.topic, step.body, step.jpeg)
        with damage_as_such():
            self._db.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._count += 1
            if self._count > self._most:
                self._db.execute("DELETE FROM steps WHERE position = (SELECT min(position) FROM steps)")
                self._count -= 1
                self.given_up += 1
