"""Whose file is at the path of the journal? Only a file with the journal's own mark may be opened, renamed or replaced.

The check reads the file and changes nothing. SQLite itself would roll back, shorten or delete files beside a database
as soon as it opens it, even if the database belongs to another program.
"""

from __future__ import annotations

import re
import sqlite3
import stat
import struct
from contextlib import closing
from pathlib import Path

from monitor.alerts.journal_proof import is_ours_but_damaged
from monitor.errors import ConfigError

APPLICATION_ID = 0x54534A31
"""The mark in the header of every journal (SQLite's ``application_id``)."""

VERSION = 1
"""The version in the header of every journal (SQLite's ``user_version``)."""

_MAGIC = b"SQLite format 3\0"
_MARK_AT = 68  # offset of the application id in the header
_VERSIONS = 255
"""A newer monitor counts up to here. Above it, the header is damaged."""
_SIDE_FILES = {
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", bytes(8)),
}
"""SQLite's files beside a database, and how their content begins."""
_LOOK_BYTES = 1_000_000
_OWN_TEXT = re.compile(
    rb"CREATE TABLE messages \(position INTEGER PRIMARY KEY, sent_at REAL NOT NULL, epoch TEXT|(alert|health)/[\w.-]+/"
)
"""Text in every journal: its first table, and the topics of its messages."""


def check_ours(path: Path) -> None:
    """Raise ConfigError if the journal must not use this path, because something else is there.

    A path without a file, an empty file, an empty database and a damaged journal are allowed. Raises OSError if the
    file cannot be read, and sqlite3.DatabaseError if it is a journal with a header so damaged that SQLite would take it
    for something else.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        _check_side_files(path)
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(None, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is not a regular file")
    if status.st_size == 0:
        _check_side_files(path)
        return
    with path.open("rb") as file:
        begin = file.read(_LOOK_BYTES)
    if begin[:16] == _MAGIC and begin[_MARK_AT : _MARK_AT + 4] == struct.pack(">I", APPLICATION_ID):
        if not _is_sound(begin[:100]):
            raise _damage()
        return
    if not _has_lost_its_mark(path, begin):
        if is_ours_but_damaged(path):
            raise _damage()
        raise ConfigError(
            f"{path} belongs to another program, it is not a journal of this monitor: choose another path for the "
            "journal ([journal] path); the file was not changed"
        )


def _is_sound(header: bytes) -> bool:
    """Whether SQLite accepts the values in the header of a journal. With others, it misreads the file."""
    if len(header) < 100:
        return False
    size, write, read, reserved, *fractions = struct.unpack_from(">H6B", header, 16)
    schema_format, _, _, encoding, version = struct.unpack_from(">5I", header, 44)
    return (
        (size == 1 or (size >= 512 and size & (size - 1) == 0))
        and write in (1, 2)
        and read in (1, 2)
        and reserved == 0
        and fractions == [64, 32, 32]
        and schema_format <= 4
        and encoding <= 1  # UTF-8; 0 in an empty database
        and VERSION <= version <= _VERSIONS
        and not any(header[72:92])
    )


def _damage() -> sqlite3.DatabaseError:
    damage = sqlite3.DatabaseError("its header is damaged")
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damage


def is_same_file(path: Path, opened: tuple[int, int]) -> bool:
    """Whether the file at this path is still the one with this (device, inode)."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == opened


def _has_lost_its_mark(path: Path, begin: bytes) -> bool:
    """Whether a file without the mark is a journal that was just created. SQLite can repair it.

    begin: the first bytes of the file
    """
    if begin[:16] not in (_MAGIC, bytes(16)):
        return False
    if begin[_MARK_AT : _MARK_AT + 4] != bytes(4):
        return False  # it has the mark of another program
    for suffix in _SIDE_FILES:
        side = _begin_of(Path(f"{path}{suffix}"), _LOOK_BYTES)
        if side:  # our own file if the monitor was killed before the mark was copied from there
            return _OWN_TEXT.search(side) is not None
    if begin[:16] != _MAGIC:
        return False
    try:
        # Immutable: SQLite then takes no lock and touches no file beside the database.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            marks = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            return marks == [0, 0] and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    except sqlite3.DatabaseError:
        return _OWN_TEXT.search(begin) is not None


def _check_side_files(path: Path) -> None:
    """Raise ConfigError if SQLite would delete a file that is not its own when it creates a database here."""
    for suffix, beginnings in _SIDE_FILES.items():
        side = Path(f"{path}{suffix}")
        begin = _begin_of(side, 8)
        if begin and not begin.startswith(beginnings):
            raise ConfigError(
                f"{side} is in the place of a file of the journal: choose another path for the journal "
                "([journal] path); the file was not changed"
            )


def _begin_of(path: Path, size: int) -> bytes:
    """The first bytes of a file; empty if it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""
