"""The journal's file: an SQLite database of messages, with everything in it that is SQL.

Whatever SQLite raises goes through; what is to be done about it is the Journal's matter.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError

MAX_JPEG_BYTES = 256 * 1024
"""A larger picture is sent, not kept."""
SCAN_ROWS = 2000
"""Messages that are looked at for one page, whether they match or not: it bounds the time that a page takes."""
PRUNE_ROWS = 50
"""Messages removed in one step."""

_APPLICATION_ID = 0x54534A31
_VERSION = 1
_TABLES = (
    "CREATE TABLE messages (position INTEGER PRIMARY KEY, sent_at REAL NOT NULL, epoch TEXT NOT NULL, "
    "topic TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, jpeg BLOB)",
    "CREATE INDEX by_time ON messages (sent_at)",
    "CREATE TABLE open_events (event_id TEXT PRIMARY KEY, position INTEGER NOT NULL, topic TEXT NOT NULL, "
    "body BLOB NOT NULL)",
    "CREATE TABLE kept (after INTEGER NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as sent.

    position  grows over all topics and restarts, with holes; sent_at: unix seconds
    body      JSON in UTF-8; jpeg: the picture that went along, if any
    """

    position: int
    sent_at: float
    epoch: str
    topic: str
    seq: int
    body: bytes
    jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A bounded part of the journal: everything that matches up to ``next``; ``done``: that was the last."""

    entries: tuple[Entry, ...]
    next: int
    done: bool


def now_position() -> int:
    """A position later than all that were given out before now: milliseconds of unix time."""
    return time.time_ns() // 1_000_000


class JournalFile:
    """An open database, locked until it is closed. ``begin_at``: the position that a new one begins after.

    Raises ConfigError for a file that is another program's or a newer monitor's.
    """

    def __init__(self, path: Path, begin_at: int, *, flush_each: bool) -> None:
        self.path = path
        self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None)
        try:
            # The lock must be chosen before anything is read, the rest before anything is written.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._refuse_foreign()
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL").fetchall()
            self._db.execute(f"PRAGMA synchronous = {'FULL' if flush_each else 'NORMAL'}")
            self._db.execute("PRAGMA journal_size_limit = 4000000")
            with self._transaction():
                self._make_tables(begin_at)
            self.kept_after: int = self._value("SELECT after FROM kept")
            """Every message after this position that was written is still here."""
            self.last_position: int = self._value("SELECT ifnull(max(position), 0) FROM messages") or self.kept_after
            self._open: dict[str, int] = dict(self._db.execute("SELECT event_id, position FROM open_events"))
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close, and with that unlock."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()

    def write(self, entry: Entry, open_events: Mapping[str, Entry]) -> None:
        """In one transaction: a message, and which events are open after it (event id -> last message)."""
        now_open = {event_id: last.position for event_id, last in open_events.items()}
        jpeg = entry.jpeg if entry.jpeg is not None and len(entry.jpeg) <= MAX_JPEG_BYTES else None
        with self._transaction():
            self._db.execute(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.position, entry.sent_at, entry.epoch, entry.topic, entry.seq, entry.body, jpeg),
            )
            # By difference to what the file holds, so that it is right again after a message that could not be kept.
            for event_id in self._open.keys() - now_open.keys():
                self._db.execute("DELETE FROM open_events WHERE event_id = ?", (event_id,))
            for event_id, position in now_open.items():
                if self._open.get(event_id) != position:
                    last = open_events[event_id]
                    row = (event_id, position, last.topic, last.body)
                    self._db.execute("INSERT OR REPLACE INTO open_events VALUES (?, ?, ?, ?)", row)
        self._open = now_open
        self.last_position = entry.position

    def open_events(self) -> list[Entry]:
        """The last message of every event that is open, oldest first: position, topic and body of it."""
        rows = self._db.execute("SELECT position, topic, body FROM open_events ORDER BY position").fetchall()
        return [Entry(position, 0.0, "", topic, 0, body) for position, topic, body in rows]

    def position_at(self, sent_at: float) -> int:
        """The position after which everything lies that was sent at ``sent_at`` (unix seconds) or later."""
        found = self._value("SELECT min(position) FROM messages WHERE sent_at >= ?", sent_at)
        return self.last_position if found is None else found - 1

    def page(self, after: int, topics: Sequence[str], *, limit: int, max_bytes: int, pictures: bool) -> Page:
        """The next messages after a position whose topics begin with one of ``topics``.

        At most ``limit``, and ``max_bytes`` unless one message alone is larger.
        """
        entries: list[Entry] = []
        size = 0
        rows = self._db.execute(
            "SELECT position, topic, length(body), ifnull(length(jpeg), 0) FROM messages "
            "WHERE position > ? ORDER BY position LIMIT ?",
            (after, SCAN_ROWS),
        ).fetchall()
        for position, topic, body_bytes, jpeg_bytes in rows:
            if topic.startswith(tuple(topics)):
                size += body_bytes + (jpeg_bytes if pictures else 0)
                if entries and (size > max_bytes or len(entries) >= limit):
                    return Page(tuple(entries), after, done=False)
                entries.append(self._entry(position, pictures=pictures))
            after = position
        return Page(tuple(entries), after, done=len(rows) < SCAN_ROWS)

    def flush(self) -> None:
        """Bring what was written onto the disk, and into the database out of its log."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def prune(self, older_than: float, max_bytes: int) -> bool:
        """A small step: remove messages sent before a time (unix seconds), or the oldest of too large a file.

        True if something was done, so that there may be more to do.
        """
        too_large = self.size_bytes > max_bytes
        rows = self._db.execute(
            "SELECT position, sent_at FROM messages ORDER BY position LIMIT ?", (PRUNE_ROWS if too_large else 1,)
        ).fetchall()
        if rows and (too_large or rows[0][1] < older_than):
            last = rows[-1][0]
            with self._transaction():
                self._db.execute("DELETE FROM messages WHERE position <= ?", (last,))
                self._db.execute("UPDATE kept SET after = ?", (last,))
            self.kept_after = last
        elif self._value("PRAGMA freelist_count") == 0:
            return False
        # The pages that became free go back to the file system.
        self._db.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        return True

    @property
    def size_bytes(self) -> int:
        """Size of the database, without its write-ahead log (about 4 MB)."""
        return int(self._value("PRAGMA page_count") * self._value("PRAGMA page_size"))

    def _refuse_foreign(self) -> None:
        marks = self._value("PRAGMA application_id"), self._value("PRAGMA user_version")
        if marks != (_APPLICATION_ID, _VERSION) and not self._is_empty():
            whose = "a newer monitor" if marks[0] == _APPLICATION_ID else "another program"
            raise ConfigError(f"{self.path} belongs to {whose}: choose another path for the journal ([journal] path)")

    def _is_empty(self) -> bool:
        return bool(self._value("SELECT count(*) FROM sqlite_master") == 0)

    def _make_tables(self, begin_at: int) -> None:
        if not self._is_empty():
            return
        for table in _TABLES:
            self._db.execute(table)
        self._db.execute("INSERT INTO kept VALUES (?)", (begin_at,))
        self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _entry(self, position: int, *, pictures: bool) -> Entry:
        row = (
            self._db.execute("SELECT * FROM messages WHERE position = ?", (position,))
            if pictures
            else self._db.execute(
                "SELECT position, sent_at, epoch, topic, seq, body, NULL FROM messages WHERE position = ?", (position,)
            )
        )
        return Entry(*row.fetchone())

    def _value(self, query: str, *arguments: object) -> Any:
        return self._db.execute(query, arguments).fetchone()[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has often rolled back by itself
                self._db.execute("ROLLBACK")
            raise
