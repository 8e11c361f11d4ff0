"""Is a file with a damaged first page a journal? Only what is left of it can prove that.

A journal whose header is damaged no longer carries its mark, and SQLite cannot open it. Two proofs are tried in memory;
the file itself is only read:

- With a sound header in place of its first 100 bytes, its catalogue holds our tables to the letter.
- With the first page of an empty journal in place of its own, it holds messages of a monitor.

A film, a text, an archive of journals or a dump of one fails both, because SQLite finds no table at these places.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from monitor.alerts.journal_rows import MAX_BODY_BYTES, TABLES, entry_of

_HEADER = 100  # bytes
_LOOK_BYTES = 16_000_000
_ROWS = 100
_MESSAGE = b'{"schema":'


def is_ours_but_damaged(path: Path) -> bool:
    """Whether a file that SQLite cannot open was a journal. Raises OSError if it cannot be read."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for table in TABLES:
            fresh.execute(table)
        fresh.commit()
        whole = fresh.serialize()
        tables = _tables(fresh)
        size = int(fresh.execute("PRAGMA page_size").fetchone()[0])
    with path.open("rb") as file:
        begin = file.read(_LOOK_BYTES)
    pages = len(begin) // size
    if pages < 1:
        return False
    header = bytearray(whole[:_HEADER])
    struct.pack_into(">II", header, 24, 1, pages)  # changes, pages
    struct.pack_into(">I", header, 92, 1)  # the changes when the pages were counted
    begin = begin[: pages * size]
    return _has_tables(bytes(header) + begin[_HEADER:], tables) or _has_messages(
        bytes(header) + whole[_HEADER:size] + begin[size:]
    )


def _has_tables(database: bytes, tables: set[str]) -> bool:
    try:
        with closing(_opened(database)) as db:
            return tables <= _tables(db)
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _has_messages(database: bytes) -> bool:
    query = "SELECT position, sent_at, epoch, topic, seq, body, NULL FROM messages WHERE length(body) <= ? LIMIT ?"
    try:
        with closing(_opened(database)) as db:
            for row in db.execute(query, (MAX_BODY_BYTES, _ROWS)):
                entry = entry_of(row)
                if entry is not None and entry.body.startswith(_MESSAGE):
                    return True
    except (sqlite3.Error, UnicodeDecodeError):
        pass
    return False


def _opened(database: bytes) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    try:
        db.deserialize(database)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA writable_schema = ON")  # a page that is missing does not hide the rest of the catalogue
    except BaseException:
        db.close()
        raise
    return db


def _tables(db: sqlite3.Connection) -> set[str]:
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' LIMIT 100"
    return {sql for (sql,) in db.execute(query) if isinstance(sql, str)}
