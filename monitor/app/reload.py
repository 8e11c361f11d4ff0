"""Reading the config again while the monitor runs: cameras come, go and change, the others are not touched."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.app.planning import PlannedCamera
from monitor.errors import MonitorError
from monitor.learning.coordinator import Learning
from monitor.live.pipeline import Pipeline
from monitor.live.stage import Stage
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.text.redaction import redact

log = logging.getLogger("monitor")

PER_CAMERA = frozenset(
    [
        "cameras",
        "model",
        "models_folder",
        "detectors",
        "learning",
        "analysis_fps",
        "false_alarms_per_day",
        "capture",
        "playback",
        "health",
        "smoothing",
        "alert",
    ]
)
"""Settings that a reload changes; the others take effect at the next start."""


@dataclass(frozen=True, eq=False)
class _Prepared:
    settings: MonitorConfig
    planned: Sequence[PlannedCamera]


class Reloader:
    """Prepares a new config in a thread of its own, applies it in the main thread, or refuses it whole.

    path     the config file
    prepare  reads and checks everything anew, models included; raises MonitorError for what cannot be used
    models   camera name -> model, kept up to date for the sinks
    follow   True to reload whenever the file has changed, not only when asked
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[], tuple[MonitorConfig, Sequence[PlannedCamera]]],
        settings: MonitorConfig,
        planned: Sequence[PlannedCamera],
        models: dict[str, Model],
        *,
        follow: bool,
        learning: Learning | None = None,
    ) -> None:
        self.requested = threading.Event()
        """Set to have the file read again; a signal handler may."""
        self.done = threading.Event()
        """Set when a reload has been applied or refused."""
        self._path = path
        self._prepare = prepare
        self._settings = settings
        self._planned = {camera.name: camera for camera in planned}
        self._models = models
        self._follow = follow
        self._learning = learning
        self._seen = self._stamp()
        self._stage: Stage | None = None
        self._prepared: _Prepared | None = None

    def learned(self, planned: PlannedCamera) -> None:
        """A camera has learned: its model is no change to the next config that is read."""
        self._planned[planned.name] = planned

    def tick(self, pipeline: Pipeline, watch: Watch) -> None:
        """Look whether there is something to do; called by the main loop."""
        if self._follow and (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            self.requested.set()
        if self._stage is None and self.requested.is_set():
            self.requested.clear()
            self._prepared = None
            self._stage = Stage("reload", self._read, lambda _: None)
            self._stage.start()
        elif self._stage is not None and not self._stage.alive:
            error, self._stage = self._stage.error, None
            if self._prepared is not None:
                self._apply(self._prepared, pipeline, watch)
            elif error is not None:
                what = str(error) if isinstance(error, MonitorError) else f"{type(error).__name__}: {error}"
                log.error("config refused, the one in force goes on: %s", redact(what))
            self.done.set()

    def _read(self) -> None:
        settings, planned = self._prepare()
        self._prepared = _Prepared(settings, planned)

    def _apply(self, new: _Prepared, pipeline: Pipeline, watch: Watch) -> None:
        planned = {camera.name: camera for camera in new.planned}
        added = [name for name in planned if name not in self._planned]
        removed = [name for name in self._planned if name not in planned]
        changed = [n for n in planned if n in self._planned and planned[n].identity != self._planned[n].identity]
        with pipeline.reconfiguring():
            for name in removed + changed:
                watch.remove(name)
                pipeline.remove(name)
                self._models.pop(name, None)
                del self._planned[name]
                if self._learning is not None:
                    self._learning.end(name)
            for name in added + changed:
                camera = planned[name]
                self._planned[name] = camera
                if camera.monitor is not None:
                    self._models[name] = camera.camera.model
                if camera.learning is not None and self._learning is not None:
                    self._learning.begin(camera.learning)
                watch.add(camera.monitor, camera.camera.source, pipeline.add(camera.camera))
        later = _differing(self._settings, new.settings) - PER_CAMERA
        self._settings = new.settings
        log.info(
            "config read again: %s; not touched: %d",
            ", ".join(
                f"{what} {', '.join(names)}"
                for what, names in (("added", added), ("removed", removed), ("changed", changed))
                if names
            )
            or "no camera changed",
            len(planned) - len(added) - len(changed),
        )
        if later:
            log.warning("changed but in force only after a restart: %s", ", ".join(sorted(later)))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def _differing(old: MonitorConfig, new: MonitorConfig) -> set[str]:
    """Names of the top-level settings in which two configs differ."""
    return {name for name in MonitorConfig.model_fields if getattr(old, name) != getattr(new, name)}
