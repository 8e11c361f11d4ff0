"""The ledger: how far each receiver has got in the journal, in an SQLite file beside the journal.

A position is committed after its notice was delivered, never before. So a kill loses nothing; it may repeat the one
notice that was being delivered. A commit reaches the disk (``synchronous=FULL``), so a power failure repeats no more.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from monitor.alerts.journal_file import damage_as_such
from monitor.errors import ConfigError, RunError
from monitor.private_files import make_private, make_private_file, make_private_folder

log = logging.getLogger(__name__)

_APPLICATION_ID = 0x54534F31
_VERSION = 1
_MAGIC = b"SQLite format 3\0"
_MARK_AT = 68  # offset of the application id in the header
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
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
        try:
            make_private_folder(self.path.parent)
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    raise
                self._set_aside(error)
                self._db = self._open()
        except OSError as error:
            raise ConfigError(self._unusable(error.strerror or str(error))) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise RunError(f"{self.path} is in use by another monitor: stop that monitor") from error
            raise ConfigError(self._unusable(str(error))) from error
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

    def _open(self) -> sqlite3.Connection:
        self._refuse_foreign()
        if not self.path.exists():
            make_private_file(self.path)  # SQLite gives its write-ahead log the same mode
        make_private(self.path)
        db = sqlite3.connect(self.path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            with damage_as_such():
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._refuse_newer(db)
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE")  # before the write-ahead log begins: the file itself holds the mark
                for table in _TABLES:
                    db.execute(table)
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {_VERSION}")
                db.execute("COMMIT")
                db.execute("PRAGMA journal_mode = WAL").fetchall()
        except BaseException:
            db.close()
            raise
        return db

    def _refuse_foreign(self) -> None:
        """Raise ConfigError if the file is not ours. SQLite would change another program's database by opening it."""
        try:
            with self.path.open("rb") as file:
                begin = file.read(100)
        except FileNotFoundError:
            return
        ours = begin[:16] == _MAGIC and begin[_MARK_AT : _MARK_AT + 4] == struct.pack(">I", _APPLICATION_ID)
        begun = not begin.strip(b"\0") and self._rollback.exists()  # the monitor was killed while it made the file
        if begin and not ours and not begun:
            raise ConfigError(
                f"{self.path} belongs to another program, but the outbox needs this place: move the file away, "
                "or choose another place for the journal ([journal] path); the file was not changed"
            )

    def _refuse_newer(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA user_version").fetchone()[0] > _VERSION:
            raise ConfigError(f"{self.path} belongs to a newer monitor: move it away, or use that monitor")

    @property
    def _rollback(self) -> Path:
        return Path(f"{self.path}-journal")

    def _set_aside(self, reason: sqlite3.Error) -> None:
        aside = self.path.with_name(
            f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000}"
        )
        for suffix in ("", "-wal", "-journal"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        log.error(
            "the outbox %s is damaged (%s): it is kept as %s; deliveries begin anew with the next message",
            self.path,
            reason,
            aside,
        )

    def _unusable(self, reason: str) -> str:
        return f"cannot use the outbox {self.path} ({reason}): choose another place for the journal ([journal] path)"

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
