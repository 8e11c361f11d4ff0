"""Where the moments of each day are kept, and the sink that ranks them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monitor.alerts.publisher import Publisher
from monitor.app.config import MonitorConfig
from monitor.sinks.moments.camera_day import SETTLE_S
from monitor.sinks.moments.moments_sink import Clip, MomentsSink, Nearest
from monitor.state_folder import MOMENTS
from monitor.stream.schedule_settings import ScheduleSettings


def moments_folder(settings: MonitorConfig) -> Path:
    """The folder of moments: the one that is set, or one beside the journal."""
    return settings.moments.folder or settings.journal.path.parent / MOMENTS


def kept_for_moments(settings: MonitorConfig) -> float:
    """Seconds of frames that evidence keeps for clips of moments, which are complete only later."""
    return SETTLE_S + 2.0 if settings.moments.enabled else 0.0


def moments_sink(
    settings: MonitorConfig,
    schedule_of: Callable[[str], ScheduleSettings],
    publisher: Publisher | None,
    clip: Clip | None,
    nearest: Nearest | None,
) -> MomentsSink:
    """The sink of a run. See MomentsSink."""
    publish = None if publisher is None else publisher.publish_moment
    epoch = "" if publisher is None else publisher.epoch
    return MomentsSink(
        moments_folder(settings), settings.moments, schedule_of, publish, clip, epoch=epoch, nearest=nearest
    )
