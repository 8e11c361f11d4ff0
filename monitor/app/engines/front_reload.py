"""Reads the config again during a run with engines, and lets all of them carry it out, or none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.app.engines.camera_moves import CameraMoves
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import Applied
from monitor.app.reload import Exchanged, tell_reload, used_later
from monitor.errors import MonitorError
from monitor.sources.source import Source
from monitor.text.redaction import redact
from monitor.threads.stage import Stage

log = logging.getLogger("monitor")

Find = Callable[[], tuple[MonitorConfig, Sequence[Source]]]
"""Reads the config again, and finds its sources. Raises MonitorError if it cannot be used."""


class FrontReload:
    """Main thread only, except for ``requested``.

    path      the config file; None without one: then the sources are looked up again, and new models are used
    follow    True to reload whenever the file has changed, not only on request
    """

    def __init__(self, path: Path | None, find: Find, *, follow: bool) -> None:
        self.requested = threading.Event()
        """Set it to read the file again; a signal handler may set it."""
        self._path, self._find, self._follow = path, find, follow
        self._seen = self._stamp()
        self._stage: Stage | None = None
        self._found: tuple[MonitorConfig, Sequence[Source]] | None = None
        self.refusal = ""
        """Why the last reload was refused, in words; "" if it was carried out."""
        self._asked = self._serving = self._served = 0

    def ask(self) -> int:
        """Read everything again. Main thread only. Returns a number for ``is_done``."""
        self._asked += 1
        self.requested.set()
        return self._asked

    def is_done(self, asked: int) -> bool:
        """Whether a reload that began after ``ask`` has been carried out or refused: see ``refusal``."""
        return self._served >= asked

    def tick(self, moves: CameraMoves) -> None:
        """Start a requested reload, or hand over one that has been read."""
        if self._follow and (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            self.requested.set()
        if self._stage is None and self.requested.is_set() and not moves.busy:
            self.requested.clear()
            self._found, self._serving = None, self._asked
            self._stage = Stage("reload", self._read, lambda _: None)
            self._stage.start()
        elif self._stage is not None and not self._stage.alive and not moves.busy:
            error, self._stage = self._stage.error, None
            serving = self._serving
            if self._found is None:
                self._refused(error, serving)
                return
            settings, sources = self._found
            before = moves.settings
            order = [*(source.name for source in sources), *moves.cameras]

            def done(applied: Sequence[Applied], error: MonitorError | None) -> None:
                if error is not None:
                    self._refused(error, serving)
                else:
                    self.refusal, self._served = "", serving
                    tell_reload(_together(applied, order), used_later(before, settings), config=self._path is not None)

            moves.reload(settings, [CarriedSource.of(source) for source in sources], done)

    def _read(self) -> None:
        self._found = self._find()

    def _refused(self, error: Exception | None, serving: int) -> None:
        what = str(error) if isinstance(error, MonitorError) else f"{type(error).__name__}: {error}"
        refused = "reload" if self._path is None else "config"
        previous = "as it is" if self._path is None else "with the previous one"
        self.refusal, self._served = redact(what), serving
        log.error("%s refused, the run continues %s: %s", refused, previous, redact(what))

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def _together(applied: Sequence[Applied], order: Sequence[str]) -> Exchanged:
    """What all engines have done, whichever was first. Each names the changed settings, so these are named once.

    order: names of all cameras, in the order in which they are told
    """
    changes = list(dict.fromkeys(change for each in applied for change in each.changes.split(", ") if change))

    place = {name: number for number, name in reversed(list(enumerate(order)))}

    def told(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=lambda name: place.get(name, len(order))))

    return Exchanged(
        told(name for each in applied for name in each.added),
        told(name for each in applied for name in each.removed),
        told(name for each in applied for name in each.changed),
        sum(each.unchanged for each in applied),
        ", ".join(changes),
    )
