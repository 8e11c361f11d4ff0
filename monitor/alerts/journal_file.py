"""The file of the journal: an SQLite database of messages. All SQL of the journal is in this module.

What a row holds is checked in ``monitor.alerts.journal_rows``.

Errors of SQLite are not caught here: the Journal handles them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monitor.alerts.journal_owner import APPLICATION_ID, VERSION, check_ours
from monitor.alerts.journal_rows import (
    MAX_BODY_BYTES,
    POSITIONS_AHEAD,
    TABLES,
    Entry,
    Page,
    decode_text,
    entry_of,
    is_topic,
)
from monitor.errors import ConfigError
from monitor.private_files import make_private, make_private_file
from monitor.witnessed_time import MAX_BYTES as MAX_TIME_BYTES
from monitor.witnessed_time import Moment, WitnessedTime

MAX_JPEG_BYTES = 256 * 1024
"""A larger picture is sent, but not stored."""
SCAN_ROWS = 2000
"""Messages read per page, whether they match or not. This limits the time that a page takes."""
FORGET_ROWS = 200
"""Messages that are forgotten in one step, at most."""
PRUNE_ROWS = 50
"""Messages removed in one step."""

MOST_OPEN = 2000
"""Open events that are read, the latest of them: a monitor has few per camera."""
_TIME_TABLE = "CREATE TABLE IF NOT EXISTS witnessed_time (record TEXT NOT NULL)"
"""Journals of version 0.1.0 lack this table, and that version ignores it."""


def now_position() -> int:
    """Return a position after all positions assigned before now: unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@contextmanager
def damage_as_such() -> Iterator[None]:
    """Raise sqlite3.DatabaseError for damage where Python cannot even decode SQLite's text about it."""
    try:
        yield
    except UnicodeDecodeError as error:
        damage = sqlite3.DatabaseError("the schema is damaged")
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage from error


class JournalFile:
    """An open database, locked until it is closed. A new database begins after the position ``begin_at``.

    moment  the present moment, see ``monitor.witnessed_time``

    Raises ConfigError if the file belongs to another program or to a newer monitor.
    """

    def __init__(self, path: Path, begin_at: int, moment: Moment, *, flush_each: bool) -> None:
        self.path = path
        check_ours(path)
        if not path.exists() and str(path) != ":memory:":
            make_private_file(path)  # SQLite gives its write-ahead log the same mode
        self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None)
        self._db.text_factory = decode_text
        try:
            # SQLite needs the lock mode before the first read, and the other settings before the first write.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._refuse_foreign()
            make_private(path)
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            with self._transaction():  # before the write-ahead log begins, so that the file itself holds the mark
                self._make_tables(begin_at)
            self._db.execute("PRAGMA journal_mode = WAL").fetchall()
            self._db.execute(f"PRAGMA synchronous = {'FULL' if flush_each else 'NORMAL'}")
            self._db.execute("PRAGMA journal_size_limit = 4000000")
            self._largest = max(begin_at, now_position()) + POSITIONS_AHEAD
            self.odd_positions = self._set_odd_positions_aside()
            """Number of messages with positions that no monitor gives: they are kept, but not replayed."""
            self.kept_after = self._read_kept_after(begin_at)
            """The file still holds every message that was written after this position."""
            self.last_position: int = max(self._value("SELECT max(position) FROM messages") or 0, self.kept_after)
            self.time = WitnessedTime(moment, self._saved_time())
            """The witnessed time. Call its ``advance`` often, and ``save_time`` from time to time."""
            self._open: dict[Any, Any] = dict(self._db.execute("SELECT event_id, position FROM open_events"))
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the database, which also releases the lock."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()

    def write(self, entry: Entry, open_events: Mapping[str, Entry]) -> None:
        """Store a message and the events that are open after it (event id -> last message) in one transaction."""
        now_open = {event_id: last.position for event_id, last in open_events.items()}
        jpeg = entry.jpeg if entry.jpeg is not None and len(entry.jpeg) <= MAX_JPEG_BYTES else None
        with self._transaction():
            self._db.execute(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.position, entry.sent_at, entry.epoch, entry.topic, entry.seq, entry.body, jpeg),
            )
            # Compared with the file, not with the last call: this also corrects the table after a failed write.
            for event_id in self._open.keys() - now_open.keys():
                self._db.execute("DELETE FROM open_events WHERE event_id IS ?", (event_id,))
            for event_id, position in now_open.items():
                if self._open.get(event_id) != position:
                    last = open_events[event_id]
                    row = (event_id, position, last.topic, last.body)
                    self._db.execute("INSERT OR REPLACE INTO open_events VALUES (?, ?, ?, ?)", row)
        self._open = now_open
        self.last_position = entry.position

    def open_events(self) -> list[tuple[str, list[Entry]]]:
        """Return the latest open events, oldest first: the id, and the last message as stored in up to two places.

        Of each message, only position, topic and body are sure. The list of an event is empty if none can be read.
        """
        query = (
            "SELECT opened.event_id, opened.position, opened.topic, opened.body, messages.topic, messages.body "
            "FROM (SELECT * FROM open_events WHERE ifnull(length(event_id), 0) <= 1000 AND length(body) <= ? "
            "ORDER BY position DESC LIMIT ?) AS opened LEFT JOIN messages "
            "ON messages.position = opened.position AND length(messages.body) <= ? ORDER BY opened.position"
        )
        found = []
        rows = self._db.execute(query, (MAX_BODY_BYTES, MOST_OPEN, MAX_BODY_BYTES)).fetchall()
        for event_id, position, *stored in rows:
            places = ((position, 0.0, "", topic, 0, body, None) for topic, body in (stored[:2], stored[2:]))
            found.append((str(event_id), [entry for entry in map(entry_of, places) if entry is not None]))
        return found

    @property
    def open_count(self) -> int:
        """Number of events that were open at the last write."""
        return len(self._open)

    def position_at(self, sent_at: float) -> int:
        """Return the position before the first message sent at ``sent_at`` (unix seconds) or later."""
        row = self._db.execute(
            "SELECT position, sent_at FROM messages WHERE position > 0 ORDER BY position LIMIT 1"
        ).fetchone()
        found = row[0] if row and isinstance(row[1], float) and row[1] >= sent_at else None
        if found is None:
            # SQLite by itself would read the messages from the oldest on, with their pictures. A clock that was set
            # back makes later messages earlier, so all of this time count.
            query = "SELECT min(position) FROM messages INDEXED BY by_time WHERE sent_at >= ? AND position > 0"
            found = self._value(query, sent_at)
        return self.last_position if found is None else min(found - 1, self.last_position)

    def page(self, after: int, topics: Sequence[str], *, limit: int, max_bytes: int, pictures: bool) -> Page:
        """Return the next messages after a position, with topics that begin with one of ``topics``.

        A page holds at most ``limit`` messages and ``max_bytes`` bytes; a single larger message still gets a page.
        """
        entries: list[Entry] = []
        size = unreadable = 0
        rows = self._db.execute(
            "SELECT position, topic, length(body), ifnull(length(jpeg), 0) FROM messages "
            "WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, self.last_position, SCAN_ROWS),
        ).fetchall()
        for position, topic, body_bytes, jpeg_bytes in rows:
            if (body_bytes or 0) > MAX_BODY_BYTES:  # never read: it would fill the memory
                unreadable += 1
            elif not is_topic(topic) or topic.startswith(tuple(topics)):
                pictured = pictures and jpeg_bytes <= MAX_JPEG_BYTES
                size += (body_bytes or 0) + (jpeg_bytes if pictured else 0)
                if entries and (size > max_bytes or len(entries) >= limit):
                    return Page(tuple(entries), after, done=False, unreadable=unreadable)
                entry = self._entry(position, pictures=pictured)
                if entry is None:
                    unreadable += 1
                else:
                    entries.append(entry)
            after = position
        return Page(tuple(entries), after, done=len(rows) < SCAN_ROWS, unreadable=unreadable)

    def flush(self) -> None:
        """Flush all writes to the disk, and move them from the write-ahead log into the database."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def prune(self, max_age_s: float, max_bytes: int) -> bool:
        """Do one small step: remove messages older than ``max_age_s`` seconds, or the oldest if the file is too large.

        The age is witnessed time (``monitor.witnessed_time``). Positions only increase, so a message is at least as old
        as the messages after it, whatever the wall clock showed. The file is too large above ``max_bytes``. Returns
        True if the step did something: call it again then.
        """
        rows = self._db.execute("SELECT position, sent_at FROM messages ORDER BY position LIMIT ?", (PRUNE_ROWS,))
        oldest = rows.fetchall()
        if self.size_bytes <= max_bytes:
            ages = [(at, self.time.age_s(sent) if isinstance(sent, float) else None) for at, sent in oldest]
            oldest = oldest[: max((i for i, (_, age) in enumerate(ages, 1) if (age or 0.0) > max_age_s), default=0)]
        if oldest:
            last = oldest[-1][0]
            with self._transaction():
                self._db.execute("DELETE FROM messages WHERE position <= ?", (last,))
                if last > 0:
                    self._db.execute("UPDATE kept SET after = ?", (last,))
            if last > 0:
                self.kept_after = last
        elif self._value("PRAGMA freelist_count") == 0:
            return False
        # Return the freed database pages to the file system.
        self._db.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        return True

    def forget(
        self, after: int, topics: Sequence[str], from_at: float, to_at: float, *, delete: bool, at_rest: bool = False
    ) -> tuple[int, int, bool]:
        """Do one small step: delete, or only count, messages of these topics that were sent in this time.

        after    look at messages after this position
        at_rest  no monitor runs, so no event is open; otherwise, events that are open now keep their messages

        Returns the position to go on after, the number of messages found, and whether that was all.
        """
        rows = self._db.execute(
            "SELECT position, topic, sent_at, position IN (SELECT position FROM open_events) FROM messages "
            "WHERE position > ? ORDER BY position LIMIT ?",
            (after, SCAN_ROWS),
        ).fetchall()
        found = [
            position
            for position, topic, sent_at, open_now in rows
            if topic in topics
            and isinstance(sent_at, float)
            and from_at <= sent_at <= to_at
            and not (open_now and not at_rest)
        ][:FORGET_ROWS]
        if delete and found:
            self._db.execute("PRAGMA secure_delete = ON").fetchall()  # zeros what is deleted
            with self._transaction():
                for table in ("messages", "open_events") if at_rest else ("messages",):
                    delete_rows = f"DELETE FROM {table} WHERE position = ?"  # noqa: S608 - names of our own tables
                    self._db.executemany(delete_rows, [(position,) for position in found])
        if len(found) == FORGET_ROWS:
            return found[-1], len(found), False
        return (rows[-1][0] if rows else after), len(found), len(rows) < SCAN_ROWS

    def wipe(self) -> None:
        """Return the room of deleted messages to the file system, so that their content is gone from the files."""
        self._db.execute("PRAGMA secure_delete = OFF").fetchall()
        self._db.execute("PRAGMA incremental_vacuum").fetchall()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def save_time(self) -> None:
        """Store the record of the witnessed time."""
        with self._transaction():
            self._db.execute("DELETE FROM witnessed_time")
            self._db.execute("INSERT INTO witnessed_time VALUES (?)", (self.time.dump(),))

    @property
    def size_bytes(self) -> int:
        """Size of the database in bytes, without its write-ahead log (about 4 MB)."""
        return int(self._value("PRAGMA page_count") * self._value("PRAGMA page_size"))

    def _refuse_foreign(self) -> None:
        marks = self._value("PRAGMA application_id"), self._value("PRAGMA user_version")
        if marks != (APPLICATION_ID, VERSION) and not self._is_empty():
            owner = "a newer monitor" if marks[0] == APPLICATION_ID else "another program"
            raise ConfigError(f"{self.path} belongs to {owner}: choose another path for the journal ([journal] path)")

    def _saved_time(self) -> str:
        row = self._db.execute(
            "SELECT record FROM witnessed_time WHERE typeof(record) = 'text' AND length(record) <= ? LIMIT 1",
            (MAX_TIME_BYTES,),
        ).fetchone()
        return row[0] if row else ""

    def _is_empty(self) -> bool:
        return bool(self._value("SELECT count(*) FROM sqlite_master") == 0)

    def _make_tables(self, begin_at: int) -> None:
        new = self._is_empty()
        for table in (*TABLES, _TIME_TABLE):  # in an old file, one may be missing
            self._db.execute(table)
        if new:
            self._db.execute("INSERT INTO kept VALUES (?)", (begin_at,))
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _set_odd_positions_aside(self) -> int:
        """Give messages with positions that no monitor gives a negative one: else numbering would continue there."""
        odd = self._value("SELECT count(*) FROM messages WHERE position > ?", self._largest)
        if odd:
            with self._transaction():
                update = "UPDATE OR IGNORE messages SET position = -position WHERE position > ?"
                self._db.execute(update, (self._largest,))
                self._db.execute("DELETE FROM messages WHERE position > ?", (self._largest,))  # it is there already
        return int(odd)

    def _read_kept_after(self, begin_at: int) -> int:
        """Return where the journal begins. If that is lost, write it anew: before the first message."""
        first = self._value("SELECT min(position) FROM messages WHERE position > 0")
        rows = self._db.execute("SELECT after FROM kept").fetchall()
        if len(rows) == 1 and isinstance(rows[0][0], int) and 0 <= rows[0][0] < (first or self._largest):
            return rows[0][0]
        after = begin_at if first is None else first - 1
        with self._transaction():
            self._db.execute("DELETE FROM kept")
            self._db.execute("INSERT INTO kept VALUES (?)", (after,))
        return int(after)

    def _entry(self, position: int, *, pictures: bool) -> Entry | None:
        row = (
            self._db.execute("SELECT * FROM messages WHERE position = ?", (position,))
            if pictures
            else self._db.execute(
                "SELECT position, sent_at, epoch, topic, seq, body, NULL FROM messages WHERE position = ?", (position,)
            )
        )
        return entry_of(row.fetchone())

    def _value(self, query: str, *arguments: object) -> Any:
        return self._db.execute(query, arguments).fetchone()[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has often already rolled back
                self._db.execute("ROLLBACK")
            raise
