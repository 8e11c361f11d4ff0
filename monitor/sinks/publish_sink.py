"""The sink that publishes scores, alerts and health as ZeroMQ messages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from monitor.alerts.message_parts import ModelRef
from monitor.alerts.publisher import Publisher
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.alert_facts import model_ref
from monitor.sinks.budget_news import BudgetNews, BudgetNewsItem
from monitor.sinks.evidence.alert_pictures import snapshot, to_jpeg
from monitor.sinks.lost_cameras import Loss, LostCameras
from monitor.states import AlertEvent, AlertKind, Phase, Reason
from monitor.text.outside import safe

SNAPSHOT_WIDTH = 640
"""Maximum width of the pictures that are sent with alerts, pixels."""
SNAPSHOT_QUALITY = 80
LOST_AFTER_S = 10.0
"""A camera that gives no frames for this long is an alert, seconds."""
_NO_MODEL = ModelRef(id="", hash="")


class PublishSink(Sink):
    """Publishes scores, alerts, health and budgets as ZeroMQ messages. A lost camera is an alert of its own kind.

    evidence      returns the names of the evidence files of an alert's event
    lost_after_s  a camera that gives no frames for this long is an alert, seconds
    published     called with each alert after it was sent, and the id of its event
    normal_at     returns when the nearest normal picture of an alert's evidence was taken, unix seconds, or None
    picture       returns the JPEG of an alert's start or end; None: it is drawn from the alert's frame
    """

    def __init__(
        self,
        publisher: Publisher,
        evidence: Callable[[Alert], Sequence[str]] = lambda _: (),
        lost_after_s: float = LOST_AFTER_S,
        published: Callable[[Alert, str], None] = lambda *_: None,
        picture: Callable[[Alert], bytes | None] | None = None,
        normal_at: Callable[[Alert], float | None] = lambda _: None,
    ) -> None:
        self._publisher = publisher
        self._evidence = evidence
        self._normal_at = normal_at
        self._published = published
        self._picture = picture or snapshot_jpeg
        self._lost = LostCameras(lost_after_s)
        self._budgets = BudgetNews()
        self._elapsed_s = 0.0  # of the run, at the last report

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
        named = alert.named
        message = self._publisher.publish_alert(
            alert.camera,
            alert.event,
            started_at=alert.started_at,
            ended_at=alert.ended_at,
            model=model_ref(alert.scale),
            frame_age_s=time.monotonic() - alert.read_at,
            dropped_frames=report.dropped,
            regions=alert.regions,
            reasons=alert.reasons,
            expected_false_alarms_per_day=alert.scale.allowed_per_day,
            early=alert.early,
            also=alert.also,
            evidence=self._evidence(alert),
            media_s=alert.media_s,
            jpeg=None if alert.event.phase is Phase.UPDATE else self._picture(alert),
            name="" if named is None else named.name,
            alike=None if named is None else named.alike,
            normal_at=self._normal_at(alert),
        )
        self._published(alert, message.event_id)

    def health(self, report: CameraReport) -> None:
        """Publish the camera's new state."""
        since = time.time() - (time.monotonic() - report.since)
        self._publisher.publish_health(
            report.name, report.state, since=since, detail=safe(report.detail), rate=report.promise
        )

    def removed(self, camera: str) -> None:
        """End the alert about a lost camera that is no longer watched."""
        self._tell(self._lost.removed(camera))
        self._tell_rest(camera)

    def restarted(self, camera: str) -> None:
        """The counting of a camera's alarms begins anew, although it stays in the run: publish what was counted."""
        self._tell_rest(camera)

    def tick(self, report: RunReport) -> None:
        """Publish lost cameras and budgets, send the heartbeat when due, answer clients, and maintain the journal."""
        self._elapsed_s = report.elapsed_s
        self._tell(self._lost.update(report))
        self._tell_budgets(report)
        self._publisher.tick(time.monotonic())

    def end(self, how: str) -> None:
        """Publish the end of the run, see Publisher.end."""
        self._tell(self._lost.close())
        self._tell_rest()
        self._publisher.end(how)

    def _tell_rest(self, camera: str | None = None) -> None:
        """Publish what has been counted since the last message about a camera, or about all."""
        for name, news in self._budgets.take_rest(camera):
            self._publish_budget(name, news)

    def _tell_budgets(self, report: RunReport) -> None:
        for camera in report.cameras:
            news = None if camera.promise is None else self._budgets.take(camera.name, camera.promise, report.elapsed_s)
            if news is not None:
                self._publish_budget(camera.name, news)

    def _publish_budget(self, camera: str, news: BudgetNewsItem) -> None:
        added = {"added_s": news.added_s, "added_blind_s": news.added_blind_s}
        self._publisher.publish_budget(camera, news.rate, added_alarms=news.added_alarms, **added)

    def _tell(self, losses: Sequence[Loss]) -> None:
        for loss in losses:
            lasted_s = (self._elapsed_s if loss.ended_s is None else loss.ended_s) - loss.started_s
            began_at = time.time() - self._elapsed_s  # of the run
            self._publisher.publish_alert(
                loss.camera,
                AlertEvent(
                    loss.number, loss.phase, loss.started_s, loss.ended_s, math.nan, 0.0, loss.started_s, notify=True
                ),
                started_at=began_at + loss.started_s,
                ended_at=None if loss.ended_s is None else began_at + loss.ended_s,
                model=_NO_MODEL,
                frame_age_s=0.0,
                dropped_frames=0,
                reasons=(Reason("no frame for", lasted_s, 0.0, "s", said=safe(loss.said)),),
                about=AlertKind.CAMERA_LOST,
            )


def snapshot_jpeg(alert: Alert) -> bytes:
    """The alert's frame with heat, boxes and caption, at most 640 px wide, as a JPEG."""
    return to_jpeg(snapshot(alert, SNAPSHOT_WIDTH), SNAPSHOT_QUALITY)
