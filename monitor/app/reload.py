"""Reads the config again while the monitor runs: cameras are added, removed and changed; the others are unchanged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.app.reload_words import what_changed
from monitor.errors import MonitorError
from monitor.judging.warm_up import warm_up
from monitor.live.fleet import Camera, Fleet
from monitor.text.redaction import redact
from monitor.threads.stage import Stage
from monitor.threads.switching import quick_switching

log = logging.getLogger("monitor")

PER_CAMERA = frozenset(
    [
        "cameras",
        "model",
        "models_folder",
        "detectors",
        "precision",
        "learning",
        "analysis_fps",
        "false_alarms_per_day",
        "capture",
        "playback",
        "health",
        "smoothing",
        "alert",
        "schedule",
    ]
)
"""Settings that a reload changes; the others take effect at the next start."""

_REFUSED = "config refused, the run continues with the previous one"

Prepare = Callable[[], tuple[MonitorConfig, Sequence[Camera]]]
"""Reads the config again and checks it, including the models. Raises MonitorError if it cannot be used."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What a reload has done: names of cameras, the number of the others, and what else has changed, in words."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    changes: str


@dataclass(frozen=True, eq=False)
class _Prepared:
    settings: MonitorConfig
    cameras: Sequence[Camera]
    changes: int  # of the fleet, when the plan was begun


class Reloader:
    """Prepares a new config in a thread of its own, then applies all of it to the fleet in the main thread, or nothing.

    path      the config file; None without one: then the sources are looked up again, and new models are used
    settings  the settings at the start
    follow    True to reload whenever the file has changed, not only on request
    """

    def __init__(
        self, path: Path | None, prepare: Prepare, settings: MonitorConfig, fleet: Fleet, *, follow: bool
    ) -> None:
        self.requested = threading.Event()
        """Set it to read the file again; a signal handler may set it."""
        self.done = threading.Event()
        """Set when a reload has been applied or refused."""
        self.settings = settings
        """The present settings of the run: those of the last reload that was applied."""
        self.refusal = ""
        """Why the last reload was refused, in words; "" if it was applied."""
        self._asked = self._serving = self._served = 0
        self._path = path
        self._prepare = prepare
        self._fleet = fleet
        self._follow = follow
        self._seen = self._stamp()
        self._stage: Stage | None = None
        self._prepared: _Prepared | None = None

    def ask(self) -> int:
        """Read everything again. Main thread only. Returns a number for ``is_done``."""
        self._asked += 1
        self.requested.set()
        return self._asked

    def is_done(self, asked: int) -> bool:
        """Whether a reload that began after ``ask`` has been applied or refused: see ``refusal``."""
        return self._served >= asked

    def tick(self) -> None:
        """Start a requested reload, or apply one that is ready. Called by the main loop."""
        if self._follow and (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            self.requested.set()
        if self._stage is None and self.requested.is_set():
            self.requested.clear()
            self._prepared, self._serving = None, self._asked
            self._stage = Stage("reload", self._read, lambda _: None)
            self._stage.start()
        elif self._stage is not None and not self._stage.alive:
            error, self._stage = self._stage.error, None
            if self._prepared is not None and self._prepared.changes != self._fleet.changes:
                self.requested.set()  # a camera has learned meanwhile, which the plan does not know: make it again
                return
            self.refusal = ""
            if self._prepared is not None:
                self._apply(self._prepared)
            elif error is not None:
                what = str(error) if isinstance(error, MonitorError) else f"{type(error).__name__}: {error}"
                self.refusal = redact(what)
                refused = "reload refused, the run continues as it is" if self._path is None else _REFUSED
                log.error("%s: %s", refused, redact(what))
            self._served = self._serving
            self.done.set()

    def _read(self) -> None:
        changes = self._fleet.changes
        with quick_switching():  # cameras are watched meanwhile
            settings, cameras = self._prepare()
            warm_up_new(cameras, self._fleet)
        self._prepared = _Prepared(settings, cameras, changes)

    def _apply(self, new: _Prepared) -> None:
        later = used_later(self.settings, new.settings)
        before, self.settings = self.settings, new.settings
        tell_reload(exchange(self._fleet, before, new.settings, new.cameras), later, config=self._path is not None)

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def warm_up_new(cameras: Sequence[Camera], fleet: Fleet) -> None:
    """Use each model once that no camera of the fleet has yet: its first frame must not hold up the others."""
    known = {member.camera.model.id for member in fleet}
    fresh = {c.model.id: c.model for c in cameras if c.monitor is not None and c.model.id not in known}
    for model in fresh.values():
        warm_up(model, model.learned_size)


def exchange(fleet: Fleet, before: MonitorConfig, settings: MonitorConfig, cameras: Sequence[Camera]) -> Exchanged:
    """Watch these cameras, and no others, from now on. before: the settings that held until now; for words only."""
    wanted = {camera.name: camera for camera in cameras}
    present = {member.name: member.camera for member in fleet}
    added = [name for name in wanted if name not in present]
    removed = [name for name in present if name not in wanted]
    reopened = [name for name in wanted if name in present and _opens_anew(present[name], wanted[name])]
    kept = [name for name in wanted if name in present and name not in reopened]
    rejudged = [name for name in kept if wanted[name].judged_by != present[name].judged_by]
    adjusted = [name for name in kept if name not in rejudged and wanted[name].capture != present[name].capture]
    changes = what_changed(before, settings, present, wanted)
    with fleet.pipeline.reconfiguring():
        for name in removed + reopened:
            fleet.remove(name)
        for name in rejudged:
            fleet.replace(replace(wanted[name], learning=present[name].learning))  # which continues
        for name in adjusted:
            fleet.replace(replace(present[name], capture=wanted[name].capture))
        for name in added + reopened:
            fleet.add(wanted[name])
    unchanged = len(kept) - len(rejudged) - len(adjusted)
    return Exchanged(tuple(added), tuple(removed), tuple(reopened + rejudged + adjusted), unchanged, changes)


def tell_reload(found: Exchanged, later: Collection[str], *, config: bool) -> None:
    """Log what a reload has done. later: settings that take effect at the next start. config: False: only models."""
    log.info(
        "%s read again: %s; unchanged: %d%s",
        "config" if config else "models",
        ", ".join(
            f"{what} {', '.join(names)}"
            for what, names in (("added", found.added), ("removed", found.removed), ("changed", found.changed))
            if names
        )
        or "nothing changed",
        found.unchanged,
        found.changes and f" ({found.changes})",
    )
    if later:
        log.warning("changed, but used only after a restart: %s", ", ".join(sorted(later)))


def used_later(old: MonitorConfig, new: MonitorConfig) -> set[str]:
    """Names of the settings that differ, and that a reload does not change."""
    return {name for name in MonitorConfig.model_fields if getattr(old, name) != getattr(new, name)} - PER_CAMERA


def _opens_anew(present: Camera, wanted: Camera) -> bool:
    """Whether a camera's stream must be opened again. For a change of the model alone, the stream stays open."""
    if present.opened_with != wanted.opened_with:
        return True
    if wanted.monitor is None:  # it is to learn, as it does already or from the beginning
        return present.monitor is not None or wanted.judged_by != present.judged_by
    # A camera that learns takes a model of its own as soon as there is one. Another model ends its learning.
    return present.monitor is None and not wanted.own_model
