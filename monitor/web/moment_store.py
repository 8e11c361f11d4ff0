"""The most unusual moments of each day, as the monitor has published them, in a temporary database of the page.

As with events, nothing is left behind when the process ends.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

from monitor.alerts.messages import MomentMessage
from monitor.web.event_store import key_of

MOST_MOMENTS = 20_000
"""The oldest moments above this number are forgotten."""
MOST_PICTURE_BYTES = 60_000_000
"""The oldest pictures above this size are forgotten. Those in the folder of moments are still shown."""

_TABLES = """
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
CREATE TABLE moments (key TEXT PRIMARY KEY, camera TEXT, day TEXT, at REAL, position INTEGER, body TEXT, jpeg BLOB);
CREATE INDEX by_day ON moments (day, camera);
CREATE TABLE rankings (camera TEXT, day TEXT, position INTEGER, ranking TEXT, UNIQUE (camera, day));
"""


@dataclass(frozen=True, slots=True)
class StoredMoment:
    """A moment in the ranking of its day.

    key    safe in a URL
    rank   its place among the camera's moments of the day, from 1
    score  1 is the threshold of the budget; rare: in words how rare the like is
    """

    key: str
    rank: int
    score: float
    rare: str
    message: MomentMessage
    has_picture: bool


class MomentStore:
    """Any thread may use it. A context manager."""

    def __init__(self, most_moments: int = MOST_MOMENTS, most_picture_bytes: int = MOST_PICTURE_BYTES) -> None:
        self._most_moments, self._most_picture_bytes = most_moments, most_picture_bytes
        self._lock = threading.Lock()
        self._picture_bytes = 0

    def __enter__(self) -> Self:
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(_TABLES)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._database.close()

    def take(self, message: MomentMessage, jpeg: bytes | None) -> None:
        """Store a moment, and the ranking of its day if it is newer than the one that is known."""
        key, position = _key(message.camera, message.moment_id), message.position or 0
        ranking = json.dumps([each.model_dump() for each in message.ranking])
        body = message.model_copy(update={"ranking": ()}).model_dump_json(by_alias=True)
        with self._lock:
            before = self._row("SELECT position, jpeg FROM moments WHERE key = ?", key)
            if before is not None and before[0] >= position:
                return
            kept = jpeg or (before[1] if before else None)
            self._picture_bytes += len(kept or b"") - len((before[1] if before else None) or b"")
            self._database.execute(
                "INSERT OR REPLACE INTO moments VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, message.camera, message.day, message.at, position, body, kept),
            )
            self._database.execute(
                "INSERT INTO rankings VALUES (?, ?, ?, ?) ON CONFLICT (camera, day) DO UPDATE SET "
                "position = excluded.position, ranking = excluded.ranking WHERE excluded.position > position",
                (message.camera, message.day, position, ranking),
            )
            self._forget_oldest()

    def days(self, sees: Callable[[str], bool] = lambda _: True) -> list[str]:
        """The days of which moments are known, the latest first. sees: whether a camera counts."""
        with self._lock:
            rows = self._database.execute("SELECT DISTINCT day, camera FROM rankings").fetchall()
        return sorted({day for day, camera in rows if sees(camera)}, reverse=True)

    def ranked(
        self, day: str, camera: str | None = None, sees: Callable[[str], bool] = lambda _: True
    ) -> list[StoredMoment]:
        """The moments of a day, the most unusual first, of one camera or of all."""
        sql = "SELECT camera, ranking FROM rankings WHERE day = ? AND (? IS NULL OR camera = ?)"
        found = []
        with self._lock:
            for name, ranking in self._database.execute(sql, (day, camera, camera)).fetchall():
                if not sees(name):
                    continue
                for rank, each in enumerate(json.loads(ranking), 1):
                    key = _key(name, each["moment_id"])
                    row = self._row("SELECT body, jpeg IS NOT NULL FROM moments WHERE key = ?", key)
                    if row is not None:
                        message = MomentMessage.model_validate_json(row[0])
                        found.append(StoredMoment(key, rank, each["score"], each["rare"], message, bool(row[1])))
        return sorted(found, key=lambda each: (-each.score, each.message.at))

    def passing(self, camera: str, score: float) -> int:
        """How many ranked moments of a camera did not alarm, although their score is at least this."""
        count = 0
        for day in self.days(lambda name: name == camera):
            found = self.ranked(day, camera)
            count += sum(each.message.event_id is None and each.score >= score for each in found)
        return count

    def moment(self, key: str) -> MomentMessage | None:
        """The moment with this key."""
        with self._lock:
            row = self._row("SELECT body FROM moments WHERE key = ?", key)
        return None if row is None else MomentMessage.model_validate_json(row[0])

    def picture(self, key: str) -> bytes | None:
        """The small picture that came with the moment."""
        with self._lock:
            row = self._row("SELECT jpeg FROM moments WHERE key = ?", key)
        return None if row is None or row[0] is None else bytes(row[0])

    def _row(self, sql: str, *values: object) -> Any:
        with closing(self._database.execute(sql, values)) as found:
            return found.fetchone()

    def _forget_oldest(self) -> None:
        while self._picture_bytes > self._most_picture_bytes:
            key, size = self._row(
                "SELECT key, LENGTH(jpeg) FROM moments WHERE jpeg IS NOT NULL ORDER BY position LIMIT 1"
            )
            self._database.execute("UPDATE moments SET jpeg = NULL WHERE key = ?", (key,))
            self._picture_bytes -= size
        if self._row("SELECT COUNT(*) FROM moments")[0] > self._most_moments:
            oldest = self._row("SELECT MIN(day) FROM moments")[0]
            gone = self._row("SELECT TOTAL(LENGTH(jpeg)) FROM moments WHERE day = ?", oldest)[0]
            self._picture_bytes -= int(gone)
            self._database.execute("DELETE FROM moments WHERE day = ?", (oldest,))
            self._database.execute("DELETE FROM rankings WHERE day = ?", (oldest,))


def _key(camera: str, moment_id: str) -> str:
    return key_of(f"{camera}/{moment_id}")
