"""The sink that writes log lines instead of the dashboard."""

from __future__ import annotations

import logging
import math

from monitor.alerts.message_parts import EARLY, why_quiet
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, Progress, RunReport
from monitor.states import CameraState, Phase

log = logging.getLogger("monitor")

_PROGRESS, _PROGRESS_S, _PROGRESS_LEAST_S = 0.1, 30.0, 3.0
_USUAL = (CameraState.CONNECTING, CameraState.LEARNING, CameraState.ONLINE, CameraState.ENDED)


class LogSink(Sink):
    """Writes log lines instead of the dashboard: alerts, changes of state, and regularly figures and progress.

    every_s  interval between two logs of the figures, seconds
    """

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._next_s = every_s
        self._scored: set[str] = set()
        self._states: dict[str, CameraState] = {}
        self._quiet: dict[str, int] = {}  # number of the last event of a camera that began quietly
        self._logged: dict[str, tuple[float, float]] = {}  # when progress was last logged, and its fraction

    def score(self, judgement: Judgement) -> None:
        """Log the first score of each camera."""
        camera = judgement.scored.frame.camera
        if camera not in self._scored and not math.isnan(judgement.score):
            self._scored.add(camera)
            log.info("%s: first score %.2f (0 is typical, 1.00 is the threshold)", camera, judgement.score)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - the figures have their own line
        """Log the event's start and end, and that a quiet event notifies after all."""
        event = alert.event
        why = f": {alert.reasons[0]}" if alert.reasons else ""
        quietly = why_quiet(notify=event.notify, armed=event.armed)
        said = [text for text, so in ((EARLY, alert.early), (quietly, not event.notify)) if so]
        quiet = f" ({'; '.join(said)})" if said else ""
        if event.phase is Phase.START:
            log.warning(
                "%s: alert %d starts at %.1f s of the stream%s%s",
                alert.camera,
                event.number,
                event.started_s,
                why,
                quiet,
            )
            if not event.notify:
                self._quiet[alert.camera] = event.number
        elif event.ended_s is None and event.notify and self._quiet.get(alert.camera) == event.number:
            del self._quiet[alert.camera]
            log.warning("%s: alert %d notifies from now on, score %.2f%s", alert.camera, event.number, event.score, why)
        elif event.ended_s is not None:
            log.warning(
                "%s: alert %d ends after %.1f s, peak %.2f%s%s",
                alert.camera,
                event.number,
                event.ended_s - event.started_s,
                event.peak_score,
                why,
                quiet,
            )

    def health(self, report: CameraReport) -> None:
        """Log the new state. While a camera continues to learn, ``tick`` logs its progress instead."""
        before, self._states[report.name] = self._states.get(report.name), report.state
        if before is report.state is CameraState.LEARNING:
            return
        level = logging.INFO if report.state in _USUAL else logging.WARNING
        level = logging.ERROR if report.state is CameraState.FAILED else level
        log.log(level, "%s: %s%s", report.name, report.state, f" ({report.detail})" if report.detail else "")

    def tick(self, report: RunReport) -> None:
        """Log the progress of learning cameras and the figures of the others, when due."""
        for camera in report.cameras:
            if camera.progress is not None:
                self._log_progress(camera.name, camera.progress, report.elapsed_s)
        if report.elapsed_s < self._next_s:
            return
        self._next_s = report.elapsed_s + self._every_s
        for camera in report.cameras:
            if camera.state is not CameraState.LEARNING:  # it has no score yet
                log.info("%s", describe(camera))

    def _log_progress(self, camera: str, progress: Progress, now_s: float) -> None:
        """Log the progress after each tenth and after 30 s. A fraction that falls (of another whole) counts as new."""
        logged_s, logged = self._logged.get(camera, (-math.inf, 0.0))
        further = not logged <= progress.fraction < logged + _PROGRESS
        if now_s - logged_s >= _PROGRESS_S or (further and now_s - logged_s >= _PROGRESS_LEAST_S):
            self._logged[camera] = (now_s, math.floor(progress.fraction / _PROGRESS + 1e-9) * _PROGRESS)
            log.info("%s: %s", camera, progress)


def describe(camera: CameraReport) -> str:
    """Format the figures of a camera as one line."""
    age = "-" if camera.age_p50_s is None else f"{camera.age_p50_s * 1e3:.0f}/{(camera.age_p99_s or 0) * 1e3:.0f} ms"
    score = "-" if math.isnan(camera.score) else f"{camera.score:.2f}"
    return (
        f"{camera.name}: {camera.state}, score {score}, {camera.fps_in:.1f} fps in, "
        f"{camera.fps_analysed:.1f} analysed, age p50/p99 {age}, dropped {camera.dropped}, "
        f"reconnects {camera.reconnects}, alerts {camera.events}"
    )
