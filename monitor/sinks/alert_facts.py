"""A step of an event as plain data, for every file that describes alerts."""

from __future__ import annotations

from typing import Any

from monitor.alerts.message_parts import ModelRef, ReasonBody, RegionBody
from monitor.judging.camera_monitor import Alert
from monitor.judging.fusion import ModelScale


def alert_facts(alert: Alert) -> dict[str, Any]:
    """What is known about an alert, JSON-ready, each fact under one name.

    Times named ``_at`` are unix seconds, times named ``_s`` seconds on the stream's own clock. Regions are boxes in
    pixels of the frame; ``threshold`` is 1 by definition of the score.
    """
    event, scale = alert.event, alert.scale
    return {
        "camera": alert.camera,
        "number": event.number,
        "phase": event.phase,
        "started_at": alert.started_at,
        "ended_at": alert.ended_at,
        "started_s": event.started_s,
        "ended_s": event.ended_s,
        "media_s": alert.media_s,
        "score": event.score,
        "peak_score": float(event.peak_score),
        "peak_s": event.peak_s,
        "threshold": 1.0,
        "expected_false_alarms_per_day": scale.allowed_per_day,
        "early": alert.early,
        "notify": event.notify,
        "armed": event.armed,
        "model": model_ref(scale).model_dump(),
        "regions": [RegionBody.of(region).model_dump() for region in alert.regions],
        "reasons": [ReasonBody.of(reason).model_dump() for reason in alert.reasons],
    }


def model_ref(scale: ModelScale) -> ModelRef:
    """A model as messages and files name it."""
    return ModelRef(id=scale.model.name, hash=scale.model.hash)
