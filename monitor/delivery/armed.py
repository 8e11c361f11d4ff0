"""Which cameras are armed: a camera that is not armed is watched, but sends no notifications.

The answer for an earlier time is known, too, because a notification may be late.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from monitor.delivery.ledger import Ledger

log = logging.getLogger(__name__)

_NAME = "armed"
_MOST_CHANGES = 100


class Armed:
    """The switches of all cameras. Several threads may use it. All cameras are armed at first."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._changes: dict[str, list[tuple[float, bool]]] = {}
        if ledger is not None:
            try:
                found = ledger.read(_NAME)
            except sqlite3.Error as error:
                log.warning("it cannot be read which cameras are armed (%s): all are", error)
                found = None
            self._changes = _parsed(found[1]) if found else {}

    def is_armed(self, camera: str, at: float | None = None) -> bool:
        """Whether a camera is armed, or was at a time (unix seconds)."""
        with self._lock:
            changes = self._changes.get(camera, [])
            index = len(changes) if at is None else bisect_right(changes, at, key=lambda change: change[0])
            return changes[index - 1][1] if index else True

    def switch(self, camera: str, *, armed: bool, now: float) -> None:
        """Arm or disarm a camera; it stays so over restarts. now: unix seconds."""
        if self.is_armed(camera) == armed:
            return
        with self._lock:
            changes = [change for change in self._changes.get(camera, []) if change[0] < now]  # the clock was set back
            self._changes[camera] = [*changes, (now, armed)][-_MOST_CHANGES:]
            content = json.dumps(self._changes)
        log.info("%s is %s", camera, "armed" if armed else "not armed: it sends no notifications")
        if self._ledger is not None:
            try:
                self._ledger.write(_NAME, 0, content)
            except sqlite3.Error as error:
                log.warning("it cannot be stored that %s is switched (%s): a restart forgets it", camera, error)


def _parsed(text: str) -> dict[str, list[tuple[float, bool]]]:
    """The stored changes; those that make no sense are left out."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(content, Mapping):
        return {}
    found = {}
    for camera, changes in content.items():
        pairs = changes if isinstance(changes, Sequence) and not isinstance(changes, str) else []
        kept = [
            (float(pair[0]), pair[1])
            for pair in pairs
            if isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], int | float)
            and isinstance(pair[1], bool)
        ]
        found[camera] = sorted(kept)
    return found
