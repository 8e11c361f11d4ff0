"""The ledger: how far each receiver has got in the journal, in an SQLite file beside the journal.

A position is committed after its notice was delivered, never before. So a kill loses nothing; it may repeat the one
notice that was being delivered. A commit reaches the disk (``synchronous=FULL``), so a power failure repeats no more.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from monitor.alerts.journal_file import damage_as_such
from monitor.alerts.own_database import open_own_database
from monitor.delivery.forgotten_camera import without_camera

_APPLICATION_ID = 0x54534F31
_VERSION = 1
MAX_STATE_BYTES = 1_000_000
_TABLES = (
    "CREATE TABLE IF NOT EXISTS receivers (name TEXT PRIMARY KEY, position INTEGER NOT NULL, state TEXT NOT NULL)",
)


def ledger_path(journal: Path) -> Path:
    """The ledger of a journal: ``journal.sqlite3`` -> ``journal-outbox.sqlite3`` in the same folder."""
    return journal.with_name(f"{journal.stem}-outbox{journal.suffix}")


class Ledger:
    """A context manager around the file. Several threads may use it.

    On entry, raises ConfigError if the path cannot be used, and RunError if another monitor uses the file. A damaged
    file is kept under another name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        lost = "deliveries begin anew with the next message"
        self._db = open_own_database(self.path, _APPLICATION_ID, _VERSION, _TABLES, what="the outbox", lost=lost)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def read(self, receiver: str) -> tuple[int, str] | None:
        """Position and state of a receiver; None if it has none, or none that makes sense. Raises sqlite3.Error."""
        with self._lock, damage_as_such():
            row = self._db.execute(
                "SELECT position, state FROM receivers WHERE name = ? AND length(state) <= ?",
                (receiver, MAX_STATE_BYTES),
            ).fetchone()
        if row is None or not _is_position(row[0]) or not isinstance(row[1], str):
            return None
        return int(row[0]), row[1]

    def write(self, receiver: str, position: int, state: str) -> None:
        """Commit position and state of a receiver. Raises sqlite3.Error."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO receivers VALUES (?, ?, ?)", (receiver, position, state))

    def forget(self, camera: str, *, delete: bool) -> int:
        """Take a camera out of all states, or only count those that remember it. Raises sqlite3.Error."""
        with self._lock, damage_as_such():
            rows = self._db.execute("SELECT name, state FROM receivers").fetchall()
        cleared = {name: without_camera(state, camera) for name, state in rows if isinstance(state, str)}
        found = [(cleared[name], name) for name, state in rows if name in cleared and cleared[name] != state]
        if delete and found:
            self._db.execute("PRAGMA secure_delete = ON").fetchall()  # zeros what is deleted
            with self._transaction():
                self._db.executemany("UPDATE receivers SET state = ? WHERE name = ?", found)
            with self._lock, suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return len(found)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, damage_as_such():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise


def _is_position(value: object) -> bool:
    """Whether this may be the position of a message. 0 stands before the first one."""
    return isinstance(value, int) and value >= 0
