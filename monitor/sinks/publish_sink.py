"""The sink that publishes scores, alerts and health as ZeroMQ messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from monitor.alerts.publisher import Publisher
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.alert_facts import model_ref
from monitor.sinks.evidence.alert_pictures import snapshot, to_jpeg
from monitor.states import Phase

SNAPSHOT_WIDTH = 640
"""Maximum width of the pictures that are sent with alerts, pixels."""
SNAPSHOT_QUALITY = 80


class PublishSink(Sink):
    """Publishes scores, alerts and health as ZeroMQ messages.

    evidence: returns the names of the evidence files of an alert's event
    """

    def __init__(self, publisher: Publisher, evidence: Callable[[Alert], Sequence[str]] = lambda _: ()) -> None:
        self._publisher = publisher
        self._evidence = evidence

    def score(self, judgement: Judgement) -> None:
        """Publish the score."""
        frame = judgement.scored.frame
        raw = [detection.score for detection in judgement.scored.detections]
        self._publisher.publish_score(
            frame.camera,
            time_s=frame.time_s,
            frame_index=frame.index,
            score=judgement.score,
            captured_at=frame.wall_time,
            raw=dict(zip(judgement.scale.names, raw, strict=True)),
        )

    def alert(self, alert: Alert, report: CameraReport) -> None:
        """Publish the step of an event; the start and the end are sent with a picture."""
        self._publisher.publish_alert(
            alert.camera,
            alert.event,
            started_at=alert.started_at,
            ended_at=alert.ended_at,
            model=model_ref(alert.scale),
            frame_age_s=time.monotonic() - alert.read_at,
            dropped_frames=report.dropped,
            regions=alert.regions,
            reasons=alert.reasons,
            expected_false_alarms_per_day=alert.scale.false_alarms_per_day,
            evidence=self._evidence(alert),
            media_s=alert.media_s,
            jpeg=None if alert.event.phase is Phase.UPDATE else snapshot_jpeg(alert),
        )

    def health(self, report: CameraReport) -> None:
        """Publish the camera's new state."""
        since = time.time() - (time.monotonic() - report.since)
        self._publisher.publish_health(report.name, report.state, since=since, detail=report.detail)

    def tick(self, report: RunReport) -> None:  # noqa: ARG002 - the heartbeat only shows that the loop runs
        """Send the heartbeat when it is due, answer clients, and maintain the journal."""
        self._publisher.tick(time.monotonic())


def snapshot_jpeg(alert: Alert) -> bytes:
    """The alert's frame with heat, boxes and caption, at most 640 px wide, as a JPEG."""
    return to_jpeg(snapshot(alert, SNAPSHOT_WIDTH), SNAPSHOT_QUALITY)
