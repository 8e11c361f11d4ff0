"""Alert messages for tests."""

from __future__ import annotations

from monitor.alerts.messages import SCHEMA, AlertMessage


def an_alert_message(**changed: object) -> AlertMessage:
    """The start of an event of the camera ``gate``; ``changed`` replaces fields."""
    fields: dict[str, object] = {
        "schema": SCHEMA,
        "node": "node-1",
        "epoch": "e1",
        "seq": 1,
        "sent_at": 1e9,
        "event_id": "event-1",
        "phase": "start",
        "camera": "gate",
        "started_at": 1e9,
        "ended_at": None,
        "started_s": 10.0,
        "ended_s": None,
        "score": 1.0,
        "peak_score": 3.5,
        "expected_false_alarms_per_day": 1.0,
        "notify": True,
        "model": {"id": "m@1", "hash": "1"},
        "frame_age_s": 0.0,
        "dropped_frames": 0,
    }
    return AlertMessage.model_validate(fields | changed)
