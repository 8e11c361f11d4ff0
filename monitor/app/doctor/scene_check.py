"""Checks that files show the scenes that the models of their names have learned. A run refuses them otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.app.config import MonitorConfig
from monitor.app.doctor.finding_report import Finding, from_error
from monitor.app.own_model import check_scene
from monitor.app.planning import masks_of
from monitor.errors import ConfigError, ModelError
from monitor.model.model_store import learned_folder, load_model
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.source import Source


def check_scenes(sources: Sequence[Source], settings: MonitorConfig) -> Iterator[Finding]:
    """A problem for each file that shows another scene. A model that cannot be read is the model check's finding."""
    for source in sources:
        own = settings.cameras.get(source.name)
        named = (own.model if own else None) or settings.model
        folder = learned_folder(settings.models_folder, source.name)
        if source.live or named is not None or folder is None:
            continue
        try:
            check_scene(
                isolate(source, settings.capture.isolation, masks_of(source.name, settings)), folder, load_model(folder)
            )
        except ConfigError as error:
            yield from_error("model", source.name, ConfigError(str(error).removeprefix(f"{source.name}: ")))
        except ModelError:
            continue
