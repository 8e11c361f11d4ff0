"""The journal: stores every alert and health message in one SQLite file before it is sent.

Losses per fault:

- The monitor is killed at any moment: nothing is lost. Every message is committed before it is sent, and a commit has
  left the process (a write-ahead log; SQLite's ``synchronous=NORMAL``).
- The machine loses power: at most the last second is lost, because the log is flushed to the disk (fsync) once per
  second while messages come. With ``fsync="always"`` nothing is lost. The cost is one flush per message, and the main
  loop waits for it (4 ms on a virtual disk, 100 ms on some memory cards).
- The disk is full or broken: messages are still sent, but not stored. This is logged and counted. Each further message
  tries again.
- The file is damaged: it is kept under another name, and a new file is started. A file that is no journal is refused.
- The wall clock is wrong: messages are removed by witnessed time (``monitor.witnessed_time``), not by the wall clock.

One process owns the file. SQLite's exclusive lock keeps a second monitor out and ends with the process. It also makes
sure that no other program's lock can delay an alert.
"""

from __future__ import annotations

import itertools
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from monitor.alerts.journal_file import JournalFile, damage_as_such, now_position
from monitor.alerts.journal_owner import is_same_file
from monitor.alerts.journal_rows import STORED_TOPICS, Entry, Page
from monitor.errors import ConfigError, RunError
from monitor.private_files import make_private_folder
from monitor.text.wording import counted
from monitor.witnessed_time import SAVE_EVERY_S, Moment, read_moment

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0
COMPLAIN_EVERY_S = 60.0
"""A failure to write the journal is logged at once, then once per interval of this many seconds."""
PRUNE_S = 0.01
"""Time limit for removing messages in one call of ``upkeep``, seconds."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class JournalError(Exception):
    """The journal cannot be read now. The text gives the reason."""


class Journal:
    """A context manager around the file. Only one thread may use it.

    path    path of the file; a missing folder is created
    days    messages older than this are removed, days of witnessed time
    max_mb  size limit of the file, megabytes; the oldest messages are removed while the file is larger
    fsync   ``second``: flush to the disk once per second; ``always``: flush before each message is sent
    clock   returns the present moment

    On entry, raises ConfigError if the path cannot be used, and RunError if another monitor uses the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        days: float = 30.0,
        max_mb: float = 500.0,
        fsync: Literal["second", "always"] = "second",
        clock: Callable[[], Moment] = read_moment,
    ) -> None:
        self.path = path
        self._clock = clock
        self.unjournalled = 0
        """Number of messages since the start that could not be stored."""
        self._max_age_s = days * 86_400
        self._max_bytes = int(max_mb * 1e6)
        self._flush_each = fsync == "always"
        self._failing = False
        self._complained_at = -COMPLAIN_EVERY_S
        self._flushed_at = 0.0
        self._unflushed = False
        self._looked_at = self._saved_at = -math.inf
        self._opened = (0, 0)  # device and inode of the file

    def __enter__(self) -> Self:
        try:
            make_private_folder(self.path.parent)
            try:
                self._file = self._open(now_position())
            except sqlite3.DatabaseError as error:
                # A statement of ours that fails has met another name of a column: its schema is damaged.
                if not (_is_damage(error) or _code(error) == sqlite3.SQLITE_ERROR):
                    raise
                self._set_aside(error)
                self._file = self._open(now_position())
        except OSError as error:
            raise ConfigError(self._unusable(error.strerror or str(error))) from error
        except sqlite3.Error as error:
            if _code(error) == sqlite3.SQLITE_BUSY:
                raise RunError(
                    f"the journal {self.path} is in use by another monitor: stop that monitor, "
                    "give this one its own path ([journal] path) or state folder (--state), "
                    "or run it with --no-journal"
                ) from error
            raise ConfigError(self._unusable(str(error))) from error
        if odd := self._file.odd_positions:
            message = "the journal %s holds %s with positions that no monitor gives: they are kept, but not replayed"
            log.warning(message, self.path, counted(odd, "message"))
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(sqlite3.Error):
            self._file.time.advance(self._clock())
            self._file.save_time()
        self._file.close()

    @property
    def last_position(self) -> int:
        """Position of the last stored message. For a new journal, the position that it begins after."""
        return self._file.last_position

    @property
    def kept_after(self) -> int:
        """The journal still holds every message that was stored after this position."""
        return self._file.kept_after

    @property
    def size_bytes(self) -> int:
        """Size of the file in bytes, without its write-ahead log (about 4 MB)."""
        return self._file.size_bytes

    @property
    def failing(self) -> bool:
        """Whether the last message could not be stored."""
        return self._failing

    def append(self, entry: Entry, open_events: Mapping[str, Entry]) -> bool:
        """Store a message together with the events that are open now (event id -> last message). True on success.

        Raises nothing: a message that cannot be stored is logged and counted in ``unjournalled``.
        """
        try:
            try:
                with damage_as_such():
                    self._file.write(entry, open_events)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._begin_anew(error)
                self._file.write(entry, open_events)
        except (sqlite3.Error, OSError) as error:
            self.unjournalled += 1
            self._complain(error)
            return False
        self._unflushed = True
        if self._failing:
            self._failing, self._complained_at = False, -COMPLAIN_EVERY_S
            missing = f"; it lacks {counted(self.unjournalled, 'message')}" if self.unjournalled else ""
            log.warning("the journal %s can be written again%s", self.path, missing)
        return True

    def open_events(self) -> list[tuple[str, list[Entry]]]:
        """Return the latest events that were open at the last write, oldest first: the id, and the last message.

        The message is stored in up to two places. Only position, topic and body of each are sure. Raises JournalError.
        """
        try:
            with damage_as_such():
                return self._file.open_events()
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    @property
    def open_count(self) -> int:
        """Number of events that were open at the last write; ``open_events`` may return fewer."""
        return self._file.open_count

    def position_at(self, sent_at: float) -> int:
        """Return the position before the first message sent at ``sent_at`` (unix seconds) or later.

        Raises JournalError.
        """
        try:
            with damage_as_such():
                return self._file.position_at(sent_at)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def page(self, after: int, topics: Sequence[str], *, limit: int, max_bytes: int, pictures: bool = True) -> Page:
        """Return the next messages after a position, with topics that begin with one of ``topics``.

        A page holds at most ``limit`` messages and ``max_bytes`` bytes; a single larger message still gets a page.
        Raises JournalError.
        """
        try:
            with damage_as_such():
                return self._file.page(after, topics, limit=limit, max_bytes=max_bytes, pictures=pictures)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def forget(
        self, camera: str, from_at: float, to_at: float, *, delete: bool, at_rest: bool = False
    ) -> Generator[None, None, int]:
        """Delete, or only count, the messages about a camera that were sent in this time (unix seconds), step by step.

        at_rest: no monitor runs; otherwise, the messages of an event that is open now stay. Returns their number.
        Raises JournalError.
        """
        topics = [f"{kind}{camera}/" for kind in STORED_TOPICS]
        after, count, done = 0, 0, False
        while not done:
            try:
                with damage_as_such():
                    after, found, done = self._file.forget(
                        after, topics, from_at, to_at, delete=delete, at_rest=at_rest
                    )
                    if done and delete:
                        self._file.wipe()
            except sqlite3.DatabaseError as error:
                raise self._unreadable(error) from error
            count += found
            yield
        return count

    def upkeep(self, now: float, unix_s: float) -> None:
        """Flush once per second, and remove messages above the age or size limit in small steps. Call it often.

        now is time.monotonic(), unix_s is time.time(), both in seconds.
        """
        try:
            if now - self._looked_at >= FLUSH_EVERY_S:
                self._looked_at = now
                self._look_for_the_file()
                self._file.time.advance(replace(self._clock(), unix_s=unix_s))
            if now - self._saved_at >= SAVE_EVERY_S:
                self._saved_at = now
                self._file.save_time()
                self._unflushed = True
            if self._unflushed and now - self._flushed_at >= FLUSH_EVERY_S:
                self._file.flush()
                self._unflushed, self._flushed_at = False, now
            ends_at = time.monotonic() + PRUNE_S
            while self._file.prune(self._max_age_s, self._max_bytes):
                self._unflushed = True
                if time.monotonic() >= ends_at:
                    break
        except sqlite3.DatabaseError as error:
            self._unreadable(error)
            if not _is_damage(error):
                self._complain(error)

    def _look_for_the_file(self) -> None:
        """Begin a new file if somebody has removed or replaced this one: nobody could read what goes on in it."""
        if self._opened == (0, 0) or is_same_file(self.path, self._opened):
            return
        try:
            self._begin_anew(sqlite3.DatabaseError("removed"))
        except (sqlite3.Error, OSError, ConfigError) as error:
            self._complain(error)
            return
        message = "the journal %s was removed or replaced: a new one is started; earlier messages cannot be replayed"
        log.error(message, self.path)

    def _open(self, begin_at: int) -> JournalFile:
        with damage_as_such():
            file = JournalFile(self.path, begin_at, self._clock(), flush_each=self._flush_each)
        with suppress(OSError):  # SQLite's database in memory has no file
            status = self.path.stat()
            self._opened = status.st_dev, status.st_ino
        return file

    def _unreadable(self, error: sqlite3.Error) -> JournalError:
        """Return the error for the caller; replaces a damaged file."""
        if not _is_damage(error):
            return JournalError(f"the journal cannot be read: {error}")
        try:
            self._begin_anew(error)
        except (sqlite3.Error, OSError) as worse:
            self._complain(worse)
        return JournalError(
            "the journal was damaged and is now kept under another name: its messages cannot be replayed"
        )

    def _begin_anew(self, reason: sqlite3.Error) -> None:
        """Replace a damaged file while running."""
        self._file.close()
        if is_same_file(self.path, self._opened):
            self._set_aside(reason)
        make_private_folder(self.path.parent)
        try:
            self._file = self._open(self._file.last_position)
        except ConfigError as error:  # something else has been put there meanwhile
            raise OSError(None, str(error)) from error

    def _set_aside(self, reason: sqlite3.Error) -> None:
        """Keep a damaged file under another name, together with its write-ahead log."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (self.path.with_name(f"{self.path.name}.damaged-{stamp}-{n}") for n in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        message = (
            "the journal %s is damaged (%s): it is kept as %s and a new one is started; its messages cannot be replayed"
        )
        log.error(message, self.path, reason, aside)

    def _complain(self, error: Exception) -> None:
        self._failing = True
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            message = (
                "the journal %s cannot be written (%s): alerts are sent, but cannot be replayed; free space on the disk"
            )
            log.error(message, self.path, error)

    def _unusable(self, reason: str) -> str:
        return (
            f"cannot use the journal {self.path} ({reason}): "
            "choose another path ([journal] path) or state folder (--state), or run without a journal (--no-journal)"
        )


def _is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in _DAMAGED


def _code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite; 0 if the error has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
