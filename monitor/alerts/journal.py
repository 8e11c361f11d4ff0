"""The journal: every alert and health message, kept in one SQLite file before it is sent.

What can be lost, and what cannot:

- The monitor is killed, at any moment: nothing. What was sent had been committed before, and a commit has left the
  process (a write-ahead log; SQLite's ``synchronous=NORMAL``).
- The machine loses its power: at most the last second, as the log is flushed to the disk (fsync) once a second while
  messages come. With ``fsync="always"`` nothing, at the price of a flush a message, for which the main loop waits
  (4 ms on a virtual disk, 100 ms on some memory cards).
- The disk is full or broken: messages are still sent, only not kept; that is logged and counted. Each further message
  tries again.
- The file is damaged: it is kept under another name, and a new one is begun.

One process owns the file. SQLite's exclusive lock, which ends with the process, keeps a second monitor out, and makes
sure that no other program's lock can hold up an alert.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from monitor.alerts.journal_file import Entry, JournalFile, Page, now_position
from monitor.errors import ConfigError, RunError
from monitor.text.wording import counted

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0
COMPLAIN_EVERY_S = 60.0
"""A journal that cannot be written is logged at once, and then this often."""
PRUNE_S = 0.01
"""How long one call of ``upkeep`` may go on removing messages."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class JournalError(Exception):
    """The journal cannot be read now; its text says why."""


class Journal:
    """A context manager around the file; used by one thread only.

    path    of the file; its folder is made where it is missing
    days    messages older than this are removed; max_mb: and the oldest while the file is larger, megabytes
    fsync   ``second``: flushed to the disk once a second; ``always``: before each message is sent

    Raises on entry ConfigError for a path that cannot be used, RunError where another monitor uses the file.
    """

    def __init__(
        self, path: Path, *, days: float = 30.0, max_mb: float = 500.0, fsync: Literal["second", "always"] = "second"
    ) -> None:
        self.path = path
        self.unjournalled = 0
        """Messages that could not be kept, since the start."""
        self._max_age_s = days * 86_400
        self._max_bytes = int(max_mb * 1e6)
        self._flush_each = fsync == "always"
        self._failing = False
        self._complained_at = -COMPLAIN_EVERY_S
        self._flushed_at = 0.0
        self._unflushed = False

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._file = self._open(now_position())
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                self._file = self._open(now_position())
        except OSError as error:
            raise ConfigError(self._unusable(error.strerror or str(error))) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise RunError(
                    f"the journal {self.path} is in use by another monitor: stop that one, "
                    "give this one a path of its own ([journal] path), or run it with --no-journal"
                ) from error
            raise ConfigError(self._unusable(str(error))) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def last_position(self) -> int:
        """Position of the last message kept; of a new journal the position that it begins after."""
        return self._file.last_position

    @property
    def kept_after(self) -> int:
        """Every message after this position that could be kept is still here."""
        return self._file.kept_after

    @property
    def size_bytes(self) -> int:
        """Size of the file, without its write-ahead log (about 4 MB)."""
        return self._file.size_bytes

    def append(self, entry: Entry, open_events: Mapping[str, Entry]) -> bool:
        """Keep a message, and with it which events are open now (event id -> last message). True if that was possible.

        Raises nothing: a message that cannot be kept is logged and counted in ``unjournalled``.
        """
        try:
            try:
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
            missing = counted(self.unjournalled, "message")
            log.warning("the journal %s is written again; missing in it: %s", self.path, missing)
        return True

    def open_events(self) -> list[Entry]:
        """The last message of every event open when the journal was last written, oldest first: position, topic, body.

        Raises JournalError.
        """
        try:
            return self._file.open_events()
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def position_at(self, sent_at: float) -> int:
        """The position after which everything lies that was sent at ``sent_at`` (unix seconds) or later.

        Raises JournalError.
        """
        try:
            return self._file.position_at(sent_at)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def page(self, after: int, topics: Sequence[str], *, limit: int, max_bytes: int, pictures: bool = True) -> Page:
        """The next messages after a position whose topics begin with one of ``topics``.

        At most ``limit``, and ``max_bytes`` unless one message alone is larger. Raises JournalError.
        """
        try:
            return self._file.page(after, topics, limit=limit, max_bytes=max_bytes, pictures=pictures)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def upkeep(self, now: float, unix_s: float) -> None:
        """Call it often: flushes once a second, and removes what is too old or too much, a little at a time.

        now is time.monotonic(), unix_s time.time(), both in seconds.
        """
        try:
            if self._unflushed and now - self._flushed_at >= FLUSH_EVERY_S:
                self._file.flush()
                self._unflushed, self._flushed_at = False, now
            ends_at = time.monotonic() + PRUNE_S
            while self._file.prune(unix_s - self._max_age_s, self._max_bytes):
                self._unflushed = True
                if time.monotonic() >= ends_at:
                    break
        except sqlite3.DatabaseError as error:
            self._unreadable(error)
            if not _is_damage(error):
                self._complain(error)

    def _open(self, begin_at: int) -> JournalFile:
        return JournalFile(self.path, begin_at, flush_each=self._flush_each)

    def _unreadable(self, error: sqlite3.Error) -> JournalError:
        """What to tell those who asked; a damaged file is replaced."""
        if not _is_damage(error):
            return JournalError(f"the journal cannot be read: {error}")
        try:
            self._begin_anew(error)
        except (sqlite3.Error, OSError) as worse:
            self._complain(worse)
        return JournalError("the journal was damaged and has been kept aside: what it held cannot be replayed")

    def _begin_anew(self, reason: sqlite3.Error) -> None:
        """Replace a damaged file while running."""
        self._file.close()
        self._set_aside(reason)
        self._file = self._open(self._file.last_position)

    def _set_aside(self, reason: sqlite3.Error) -> None:
        """Keep a damaged file under another name, with the log that belongs to it."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (self.path.with_name(f"{self.path.name}.damaged-{stamp}-{n}") for n in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        message = (
            "the journal %s is damaged (%s): it is kept as %s and a new one begun; what it held cannot be replayed"
        )
        log.error(message, self.path, reason, aside)

    def _complain(self, error: Exception) -> None:
        self._failing = True
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            message = (
                "the journal %s cannot be written (%s): alerts are sent, but cannot be replayed; make room on the disk"
            )
            log.error(message, self.path, error)

    def _unusable(self, reason: str) -> str:
        return (
            f"cannot keep the journal {self.path} ({reason}): "
            "choose another path ([journal] path), or run without one (--no-journal)"
        )


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
