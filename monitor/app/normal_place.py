"""Where the pictures of calm footage are kept, and the sink that keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.sinks.normal.normal_sink import NormalSink
from monitor.state_folder import NORMAL


def normal_folder(settings: MonitorConfig) -> Path:
    """The folder of normal pictures: the one that is set, or one beside the journal."""
    return settings.normal.folder or settings.journal.path.parent / NORMAL


def normal_sink(settings: MonitorConfig, current: Callable[[], MonitorConfig]) -> NormalSink | None:
    """The sink of a run; None if nothing would show its pictures. current: the settings of now, for schedules."""
    if not settings.normal.enabled or not (settings.evidence.enabled or settings.moments.enabled):
        return None

    def masks_of(name: str) -> str:
        masks = sorted(current().masks_of(name).items())
        return "".join(f"{place}: {mask.model_dump_json()}\n" for place, mask in masks)

    return NormalSink(normal_folder(settings), settings.normal, lambda name: current().schedule_of(name), masks_of)
