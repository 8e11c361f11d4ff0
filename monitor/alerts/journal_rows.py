"""What is stored in one row of the journal. Each row stands alone: one that makes no sense hides no other.

SQLite stores a value of any type in any column, and people and damaged disks write to files. So every value is checked
when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_BODY_BYTES = 1_000_000
"""No message of a monitor is larger."""
POSITIONS_AHEAD = 2**45
"""Positions begin at the time in milliseconds. One that is this much ahead of the time is not from a monitor."""
TABLES = (
    "CREATE TABLE IF NOT EXISTS messages (position INTEGER PRIMARY KEY, sent_at REAL NOT NULL, epoch TEXT NOT NULL, "
    "topic TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, jpeg BLOB)",
    "CREATE INDEX IF NOT EXISTS by_time ON messages (sent_at)",
    "CREATE TABLE IF NOT EXISTS open_events (event_id TEXT PRIMARY KEY, position INTEGER NOT NULL, "
    "topic TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS kept (after INTEGER NOT NULL)",
)
"""How the tables of every journal are made, in this order."""
STORED_TOPICS = ("alert/", "health/", "budget/", "moment/")
"""The beginnings of the topics whose messages are stored."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as sent.

    position  increases over all topics and restarts, with gaps
    sent_at   unix seconds
    body      JSON in UTF-8
    jpeg      the picture of the message, if any
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
    """A bounded part of the journal: all matches up to the position ``next``. ``done`` is True for the last page.

    unreadable  number of messages that may match, but cannot be read
    """

    entries: tuple[Entry, ...]
    next: int
    done: bool
    unreadable: int = 0


def decode_text(stored: bytes) -> str:
    """Return stored text; bytes that are not UTF-8 become replacement characters, and never an error."""
    return stored.decode(errors="replace")


def is_topic(value: object) -> bool:
    """Return True for a topic of which messages are stored."""
    return isinstance(value, str) and value.startswith(STORED_TOPICS)


def entry_of(row: Sequence[object] | None) -> Entry | None:
    """Return the message in a row of the table ``messages``; None if it cannot be read.

    Text is accepted in place of bytes, because programs that change a value store text.
    """
    if row is None:  # found by a scan, but not by its position: the index is damaged
        return None
    position, sent_at, epoch, topic, seq, body, jpeg = row
    if isinstance(body, str):
        body = body.encode(errors="replace")
    if not (
        isinstance(position, int)
        and isinstance(sent_at, float | int)
        and isinstance(epoch, str)
        and isinstance(topic, str)
        and is_topic(topic)
        and isinstance(seq, int)
        and isinstance(body, bytes)
    ):
        return None
    # A picture that cannot be read does not hide its message.
    return Entry(position, float(sent_at), epoch, topic, seq, body, jpeg if isinstance(jpeg, bytes) else None)
