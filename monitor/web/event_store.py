"""The events that the page shows, in a temporary database: a copy of what the monitor's journal holds.

SQLite deletes the file at once and keeps it open, so nothing is left behind, however this process ends.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Self

from monitor.alerts.messages import AlertMessage, BudgetMessage
from monitor.states import AlertKind, Phase

MOST_EVENTS = 100_000
"""The oldest events above this number are forgotten."""
MOST_PICTURE_BYTES = 300_000_000
"""The oldest pictures above this size are forgotten. Those in the evidence folder are still shown."""
MOST_BUDGETS = 100_000
_LOOK_EVERY = 500
_KEPT = 0.9  # share of the bound that stays, so that not every further event deletes one

_TABLES = """
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
CREATE TABLE events (
    key TEXT PRIMARY KEY, camera TEXT, about TEXT, started_at REAL, peak REAL, notify INTEGER, open INTEGER,
    position INTEGER, sent_at REAL, words TEXT, body TEXT, verdict TEXT, judged INTEGER
) WITHOUT ROWID;
CREATE INDEX by_review ON events (judged, started_at DESC, key DESC);
CREATE INDEX by_time ON events (started_at, key);
CREATE INDEX by_camera ON events (camera, started_at, key);
CREATE INDEX by_peak ON events (camera, about, peak);
CREATE TABLE pictures (key TEXT, moment TEXT, jpeg BLOB, UNIQUE (key, moment));
CREATE TABLE verdicts (key TEXT PRIMARY KEY, camera TEXT, verdict TEXT, body TEXT) WITHOUT ROWID;
CREATE TABLE budgets (
    camera TEXT, epoch TEXT, seq INTEGER, sent_at REAL, alarms INTEGER, seconds REAL, body TEXT,
    UNIQUE (camera, epoch, seq)
);
CREATE INDEX budgets_by_time ON budgets (camera, sent_at);
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is known now.

    key      safe in a URL
    alert    its last message, with the reasons of its peak
    verdict  what people have said about it: ``normal``, ``real`` or a name; "" if nothing
    """

    key: str
    alert: AlertMessage
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a page of the list shows; None: all.

    camera        name of the camera
    cameras       only events of these cameras: those that somebody may see
    since, until  the event began in this time, unix seconds; ``until`` does not belong to it
    search        the words that all stand in the camera's name, the reasons, the event's name or the verdict
    quiet         True: only events that notify nobody; False: only the others
    verdict       only events with this verdict; "": without one
    review        True: events that nobody has judged come first
    """

    camera: str | None = None
    cameras: frozenset[str] | None = None
    since: float | None = None
    until: float | None = None
    search: str = ""
    quiet: bool | None = None
    verdict: str | None = None
    review: bool = False


Place = tuple[int, float, str]
"""Where a page of events ends: 1 if its last event is judged and the order asks for that, its start, its key."""


def key_of(event_id: str) -> str:
    """A name of an event that is safe in a URL: 32 hexadecimal digits."""
    return hashlib.blake2s(event_id.encode(errors="replace"), digest_size=16).hexdigest()


class EventStore:
    """Events, their pictures and budgets. Any thread may use it. A context manager."""

    def __init__(self, most_events: int = MOST_EVENTS, most_picture_bytes: int = MOST_PICTURE_BYTES) -> None:
        self._most_events, self._most_picture_bytes = most_events, most_picture_bytes
        self._lock = threading.Lock()
        self._added = 0
        self._picture_bytes = 0

    def __enter__(self) -> Self:
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(_TABLES)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._database.close()

    def take_alert(self, alert: AlertMessage, jpeg: bytes | None) -> StoredEvent | None:
        """Store a step of an event. Returns the event if this has changed it, None for a step that is older."""
        key = key_of(alert.event_id)
        with self._lock:
            if jpeg and alert.phase is not Phase.UPDATE:
                self._keep_picture(key, "picture" if alert.phase is Phase.START else "heat", jpeg)
            row = self._row("SELECT position, sent_at, body FROM events WHERE key = ?", key)
            if row is not None:
                if (row[0], row[1]) >= (alert.position or 0, alert.sent_at):
                    return None
                alert = _with_reasons(alert, AlertMessage.model_validate_json(row[2]))
            verdict = (self._row("SELECT verdict FROM verdicts WHERE key = ?", key) or ("",))[0]
            self._database.execute(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    alert.camera,
                    alert.about,
                    alert.started_at,
                    alert.peak_score,
                    alert.notify,
                    alert.phase is not Phase.END,
                    alert.position or 0,
                    alert.sent_at,
                    " ".join([alert.camera, alert.name, *(r.text for r in (*alert.reasons, *alert.also))]).casefold(),
                    alert.model_dump_json(by_alias=True),
                    verdict,
                    verdict != "" or not can_judge(alert),
                ),
            )
            self._added += 1
            if self._added % _LOOK_EVERY == 0:
                self._forget_oldest()
        return StoredEvent(key, alert, verdict)

    def take_verdicts(self, camera: str, found: Sequence[dict[str, Any]]) -> list[StoredEvent]:
        """Take all verdicts that hold for a camera, as the monitor lists them. Returns the events that have changed."""
        rows = {key_of(str(each["event"])): each for each in found}
        with self._lock:
            before = dict(self._database.execute("SELECT key, verdict FROM verdicts WHERE camera = ?", (camera,)))
            self._database.execute("DELETE FROM verdicts WHERE camera = ?", (camera,))
            for key, each in rows.items():
                row = key, camera, str(each["verdict"]), json.dumps(each)
                self._database.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", row)
        now = {key: str(each["verdict"]) for key, each in rows.items()}
        changed = [key for key in before | now if before.get(key) != now.get(key)]
        return [event for key in changed if (event := self._judged(key, now.get(key, ""))) is not None]

    def take_verdict(self, camera: str, event_id: str, facts: dict[str, Any] | None) -> StoredEvent | None:
        """Take one verdict, None if it was taken back. Returns the event."""
        key = key_of(event_id)
        verdict = "" if facts is None else str(facts["verdict"])
        with self._lock:
            self._database.execute("DELETE FROM verdicts WHERE key = ?", (key,))
            if facts is not None:
                row = key, camera, verdict, json.dumps(facts)
                self._database.execute("INSERT INTO verdicts VALUES (?, ?, ?, ?)", row)
        return self._judged(key, verdict)

    def _judged(self, key: str, verdict: str) -> StoredEvent | None:
        event = self.event(key)
        if event is None:
            return None
        judged = verdict != "" or not can_judge(event.alert)
        with self._lock:
            self._database.execute("UPDATE events SET verdict = ?, judged = ? WHERE key = ?", (verdict, judged, key))
        return replace(event, verdict=verdict)

    def verdict(self, key: str) -> dict[str, Any] | None:
        """What was said about an event, by whom and when, as the monitor lists it; None if nothing was."""
        with self._lock:
            row = self._row("SELECT body FROM verdicts WHERE key = ?", key)
        return None if row is None else dict(json.loads(row[0]))

    def cameras(self) -> list[str]:
        """The cameras that have events, by name."""
        with self._lock:
            return [row[0] for row in self._database.execute("SELECT DISTINCT camera FROM events ORDER BY camera")]

    def names(self) -> list[str]:
        """The verdicts other than normal that hold, each once: ``real`` and the names that people have given."""
        sql = "SELECT DISTINCT verdict FROM verdicts WHERE verdict != 'normal' ORDER BY verdict"
        with self._lock:
            return [row[0] for row in self._database.execute(sql)]

    def take_budget(self, message: BudgetMessage) -> None:
        """Store the figures of a camera's budget."""
        body = message.model_dump_json(by_alias=True)
        with self._lock:
            self._database.execute(
                "INSERT OR IGNORE INTO budgets VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    message.camera,
                    message.epoch,
                    message.seq,
                    message.sent_at,
                    message.added_alarms,
                    message.added_s,
                    body,
                ),
            )

    def event(self, key: str) -> StoredEvent | None:
        """The event with this key."""
        with self._lock:
            row = self._row("SELECT body, verdict FROM events WHERE key = ?", key)
        return None if row is None else StoredEvent(key, AlertMessage.model_validate_json(row[0]), row[1])

    def page(self, wanted: Wanted, before: Place | None, limit: int) -> tuple[list[StoredEvent], Place | None]:
        """At most ``limit`` events, the newest first, and where the next page begins; None after the last one.

        before  where this page begins, from the page before it; None: with the newest event
        """
        where, values = _conditions(wanted, before)
        order = ("judged, " if wanted.review else "") + "started_at DESC, key DESC"
        sql = f"SELECT key, body, started_at, verdict, judged FROM events{where} ORDER BY {order} LIMIT ?"  # noqa: S608
        with self._lock, closing(self._database.execute(sql, (*values, limit + 1))) as found:
            rows = found.fetchall()
        events = [StoredEvent(row[0], AlertMessage.model_validate_json(row[1]), row[3]) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return events, None if last is None else (int(last[4]) if wanted.review else 0, last[2], last[0])

    def marks(self, camera: str, since: float, until: float, limit: int) -> list[tuple[Any, ...]]:
        """A camera's events of a time, the newest first: key, start, end, peak, notifies, verdict, first reason.

        Without decoding whole messages, of which a day may have thousands.
        """
        sql = (
            "SELECT key, started_at, body ->> '$.ended_at', peak, notify, verdict, body ->> '$.reasons[0].text' "
            "FROM events WHERE camera = ? AND started_at >= ? AND started_at < ? ORDER BY started_at DESC LIMIT ?"
        )
        with self._lock:
            return self._database.execute(sql, (camera, since, until, limit)).fetchall()

    def count(self, wanted: Wanted) -> int:
        """Number of events."""
        where, values = _conditions(wanted, None)
        with self._lock:
            row = self._row(f"SELECT COUNT(*) FROM events{where}", *values)  # noqa: S608
        return int(row[0]) if row else 0

    def rank(self, alert: AlertMessage) -> tuple[int, int]:
        """How unusual an event is among the camera's events of its kind: its place by peak score, and their number."""
        counted = "SELECT COUNT(*) FROM events WHERE camera = ? AND about = ?"
        with self._lock:
            above = self._row(f"{counted} AND peak > ?", alert.camera, alert.about, alert.peak_score)
            all_ = self._row(counted, alert.camera, alert.about)
        assert above is not None
        assert all_ is not None
        return int(above[0]) + 1, int(all_[0])

    def picture(self, key: str, moment: str) -> bytes | None:
        """The picture that came with a message. moment: ``picture`` (the start) or ``heat`` (the peak)."""
        with self._lock:
            row = self._row("SELECT jpeg FROM pictures WHERE key = ? AND moment = ?", key, moment)
        return None if row is None else bytes(row[0])

    def pictures(self, key: str) -> frozenset[str]:
        """The moments of an event that there is a picture of."""
        with self._lock:
            return frozenset(
                row[0] for row in self._database.execute("SELECT moment FROM pictures WHERE key=?", (key,))
            )

    def budgets(self) -> list[BudgetMessage]:
        """The last figures of each camera, by name."""
        # With MAX, SQLite takes the other columns from the row of the maximum (sqlite.org/lang_select.html#bareagg).
        sql = "SELECT body, MAX(sent_at) FROM budgets GROUP BY camera ORDER BY camera"
        with self._lock:
            bodies = [row[0] for row in self._database.execute(sql)]
        return [BudgetMessage.model_validate_json(body) for body in bodies]

    def alarms(self, camera: str, since: float, until: float = 1e12) -> tuple[int, float]:
        """Alarms of a camera between two times (unix seconds), and the seconds that were watched meanwhile."""
        sql = "SELECT TOTAL(alarms), TOTAL(seconds) FROM budgets WHERE camera = ? AND sent_at >= ? AND sent_at < ?"
        with self._lock:
            row = self._row(sql, camera, since, until)
        assert row is not None
        return int(row[0]), float(row[1])

    def _row(self, sql: str, *values: object) -> Any:
        with closing(self._database.execute(sql, values)) as found:
            return found.fetchone()

    def _keep_picture(self, key: str, moment: str, jpeg: bytes) -> None:
        done = self._database.execute("INSERT OR IGNORE INTO pictures VALUES (?, ?, ?)", (key, moment, jpeg))
        self._picture_bytes += len(jpeg) if done.rowcount else 0
        while self._picture_bytes > self._most_picture_bytes:
            oldest = self._row("SELECT rowid, LENGTH(jpeg) FROM pictures ORDER BY rowid LIMIT 1")
            self._database.execute("DELETE FROM pictures WHERE rowid = ?", (oldest[0],))
            self._picture_bytes -= oldest[1]

    def _forget_oldest(self) -> None:
        count = self._row("SELECT COUNT(*) FROM events")[0]
        if count > self._most_events:
            too_many = count - int(self._most_events * _KEPT)
            oldest = "SELECT key FROM events ORDER BY started_at LIMIT ?"
            self._database.execute(f"DELETE FROM events WHERE key IN ({oldest})", (too_many,))  # noqa: S608
        last = "SELECT MAX(rowid) FROM budgets"
        self._database.execute(f"DELETE FROM budgets WHERE rowid <= ({last}) - ?", (MOST_BUDGETS,))  # noqa: S608


def _with_reasons(alert: AlertMessage, before: AlertMessage) -> AlertMessage:
    """An update that gives no reasons, because the score is down again, keeps those from before."""
    changes: dict[str, Any] = {}
    if not alert.reasons:
        changes["reasons"] = before.reasons
    if not alert.regions:
        changes["regions"] = before.regions
    if not alert.evidence:
        changes["evidence"] = before.evidence
    return alert.model_copy(update=changes) if changes else alert


def can_judge(alert: AlertMessage) -> bool:
    """Whether people can say what an event was. That a camera is lost cannot be judged."""
    return alert.about != AlertKind.CAMERA_LOST


def _conditions(wanted: Wanted, before: Place | None) -> tuple[str, list[object]]:
    parts: list[str] = []
    values: list[object] = []

    def add(part: str, *given: object) -> None:
        parts.append(part)
        values.extend(given)

    if wanted.camera is not None:
        add("camera = ?", wanted.camera)
    if wanted.cameras is not None:
        add(f"camera IN ({', '.join('?' * len(wanted.cameras))})", *sorted(wanted.cameras))
    if wanted.since is not None:
        add("started_at >= ?", wanted.since)
    if wanted.until is not None:
        add("started_at < ?", wanted.until)
    if wanted.quiet is not None:
        add("notify = ?", not wanted.quiet)
    for word in wanted.search.casefold().split():
        add("INSTR(words || ' ' || LOWER(verdict), ?) > 0", word)
    if wanted.verdict is not None:
        add("verdict = ?", wanted.verdict)
    if wanted.verdict == "":
        add("judged = 0")
    if before is not None and wanted.review:
        add("(judged > ? OR (judged = ? AND (started_at, key) < (?, ?)))", before[0], *before)
    elif before is not None:
        add("(started_at, key) < (?, ?)", *before[1:])
    return (" WHERE " + " AND ".join(parts) if parts else ""), values
