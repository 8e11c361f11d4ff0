"""From settings to cameras that can be watched: sources found, models loaded, thresholds worked out, all checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from monitor.camera_monitor import CameraMonitor
from monitor.capture import CaptureSettings
from monitor.config import MonitorConfig
from monitor.errors import ConfigError, ModelError
from monitor.fusion import ModelScale
from monitor.model_store import Model, load_model
from monitor.pipeline import Camera
from monitor.sources import open_sources
from monitor.sources.base import Source
from monitor.sources.isolated import isolate

log = logging.getLogger("monitor")


@dataclass(frozen=True, eq=False)
class PlannedCamera:
    """A camera with everything it is watched by.

    identity  equal for two plans of a camera between which nothing that concerns it has changed
    """

    camera: Camera
    monitor: CameraMonitor
    identity: tuple[object, ...]

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.camera.name


def find_sources(specs: Sequence[str], settings: MonitorConfig) -> list[Source]:
    """The sources named on the command line, or else the config's cameras; each has been checked.

    Raises SourceError for a source that can never give a frame, ConfigError when there is none.
    """
    named = list(specs) or [f"{name}={camera.source}" for name, camera in settings.cameras.items()]
    if not named:
        raise ConfigError("the config file names no camera: add [cameras.NAME] with a source, or give a SOURCE")
    capture = settings.capture
    found = open_sources(
        named,
        fps=settings.playback.fps,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
    )
    found = [isolate(source, capture.isolation) for source in found]
    with ThreadPoolExecutor(max_workers=8) as pool:
        for _ in pool.map(lambda source: source.check(), found):
            pass  # the first error is raised here
    return found


def plan_cameras(sources: Sequence[Source], settings: MonitorConfig, max_frames: int | None) -> list[PlannedCamera]:
    """Give each source its model and its monitor. Models are loaded once and shared.

    Raises ModelError, naming the camera that has none or the model that cannot be used.
    """
    capture = CaptureSettings(
        speed=settings.playback.speed,
        loop=settings.playback.loop,
        analysis_fps=settings.analysis_fps,
        max_frames=max_frames,
        gap_s=settings.capture.gap_s,
        stall_after_s=settings.capture.read_timeout_s,
        backoff_min_s=settings.capture.backoff_min_s,
        backoff_max_s=settings.capture.backoff_max_s,
        health=settings.health,
    )
    loaded: dict[Path, tuple[Model, ModelScale]] = {}
    planned = []
    for source in sources:
        own = settings.cameras.get(source.name)
        folder = (own.model if own else None) or settings.model
        if folder is None:
            raise ModelError(
                f"no model for '{source.name}': train one on normal footage of this camera with "
                "`python -m training train --data FOOTAGE --out models/NAME`, then add --model models/NAME"
            )
        if folder not in loaded:
            model = load_model(folder, settings.device)
            loaded[folder] = (model, ModelScale(model, settings.false_alarms_per_day, settings.smoothing))
        model, scale = loaded[folder]
        monitor = CameraMonitor(source.name, scale, settings.smoothing, settings.alert)
        identity = (
            own.source if own else source.label,
            folder,
            model.hash,
            capture,
            settings.capture,
            settings.smoothing,
            settings.alert,
            settings.false_alarms_per_day,
        )
        planned.append(PlannedCamera(Camera(source, model, capture), monitor, identity))
    return planned


def warn_of_short_footage(planned: Sequence[PlannedCamera]) -> None:
    """Say so, once a model, when a threshold had to be extrapolated from too little held-out footage."""
    for model, scale in {id(p.camera.model): (p.camera.model, p.monitor.scale) for p in planned}.values():
        if scale.supported_per_day > scale.false_alarms_per_day:
            log.warning(
                "threshold extrapolated: '%s' knows %.0f minutes of held-out footage, which show no rate below %.0f "
                "false alarms a day; trained on longer footage it will be surer",
                model.name,
                model.held_out.duration_s() / 60,
                scale.supported_per_day,
            )
