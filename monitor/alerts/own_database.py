"""An SQLite file of the monitor's own, beside the journal. One process owns it.

A commit is in the file before the next step, and reaches the disk (``synchronous=FULL``). A file of another program, or
of a newer monitor, is refused and not changed. A damaged one is kept under another name, and a new one is begun.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from monitor.alerts.journal_file import damage_as_such
from monitor.errors import ConfigError, RunError
from monitor.private_files import make_private, make_private_file, make_private_folder

log = logging.getLogger(__name__)

_MAGIC = b"SQLite format 3\0"
_MARK_AT = 68  # offset of the application id in the header
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_own_database(
    path: Path, mark: int, version: int, tables: Sequence[str], *, what: str, lost: str
) -> sqlite3.Connection:
    """Open or make the file. The caller closes it. Several threads may use it, one at a time.

    mark, version  in the header of the file
    tables         CREATE TABLE IF NOT EXISTS statements
    what           the name of the file for people, such as "the outbox"
    lost           what happens without what a damaged file held, half a sentence

    Raises ConfigError if the path cannot be used, and RunError if another monitor uses the file.
    """
    advice = "choose another place for the journal ([journal] path)"
    try:
        make_private_folder(path.parent)
        try:
            return _open(path, mark, version, tables, what)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _set_aside(path, error, what, lost)
            return _open(path, mark, version, tables, what)
    except OSError as error:
        raise ConfigError(f"cannot use {what} {path} ({error.strerror or error}): {advice}") from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise RunError(f"{path} is in use by another monitor: stop that monitor") from error
        raise ConfigError(f"cannot use {what} {path} ({error}): {advice}") from error


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, and not only in use or on a full disk."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _open(path: Path, mark: int, version: int, tables: Sequence[str], what: str) -> sqlite3.Connection:
    _refuse_foreign(path, mark, what)
    if not path.exists():
        make_private_file(path)  # SQLite gives its write-ahead log the same mode
    make_private(path)
    db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
    try:
        with damage_as_such():
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            _refuse_newer(db, path, version)
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")  # before the write-ahead log begins: the file itself holds the mark
            for table in tables:
                db.execute(table)
            db.execute(f"PRAGMA application_id = {mark}")
            db.execute(f"PRAGMA user_version = {version}")
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode = WAL").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def _refuse_newer(db: sqlite3.Connection, path: Path, version: int) -> None:
    if db.execute("PRAGMA user_version").fetchone()[0] > version:
        raise ConfigError(f"{path} belongs to a newer monitor: move it away, or use that monitor")


def _refuse_foreign(path: Path, mark: int, what: str) -> None:
    """Raise ConfigError if the file is not ours. SQLite would change another program's database by opening it."""
    try:
        with path.open("rb") as file:
            begin = file.read(100)
    except FileNotFoundError:
        return
    ours = begin[:16] == _MAGIC and begin[_MARK_AT : _MARK_AT + 4] == struct.pack(">I", mark)
    # The monitor was killed while it made the file.
    begun = not begin.strip(b"\0") and Path(f"{path}-journal").exists()
    if begin and not ours and not begun:
        raise ConfigError(
            f"{path} belongs to another program, but {what} needs this place: move the file away, "
            "or choose another place for the journal ([journal] path); the file was not changed"
        )


def _set_aside(path: Path, reason: sqlite3.Error, what: str, lost: str) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000}")
    for suffix in ("", "-wal", "-journal"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    log.error("%s %s is damaged (%s): it is kept as %s; %s", what, path, reason, aside, lost)
