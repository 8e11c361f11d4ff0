"""The sink of an engine that tells the run everything that its sinks must hear, in the same order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from monitor.alerts.previews import Kind
from monitor.app.engines.carried_alerts import carried_frame, carried_judgement, without_pictures
from monitor.app.engines.engine_messages import (
    CarriedFrame,
    Facts,
    HealthTold,
    Joined,
    Lease,
    Left,
    MomentTold,
    PreviewTold,
    Removed,
    Scale,
    Scores,
    Step,
    Tick,
)
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.judging.fusion import ModelScale
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.publish_sink import snapshot_jpeg
from monitor.states import Phase

TOGETHER_S = 0.02
"""Scores are sent together, at most this many seconds after the first of them."""


class Line(Protocol):
    """Where the messages go: a Wire."""

    def send(self, message: object, *, droppable: bool = False) -> None:
        """Send a message. droppable: it may be lost if the run is too slow."""

    def flush(self) -> None:
        """Send what waits."""


class RelaySink(Sink):
    """Sends to the run. It counts the steps of each camera's events, and knows which of them are acknowledged.

    evidence  returns the names of the evidence files of an alert's event
    figures   returns what else belongs into each Tick: (lost files of evidence, ids of models, devices)
    normal_at returns when the nearest normal picture of an alert's event was taken, or None
    counted   returns what was counted of a camera's alarms, oldest first
    done      returns the cameras that have ended, and of which every frame is judged
    """

    def __init__(
        self,
        wire: Line,
        evidence: Callable[[Alert], Sequence[str]],
        figures: Callable[[], tuple[int, tuple[str, ...], tuple[str, ...]]],
        counted: Callable[[str], Sequence[tuple[float, int, float]]],
        clock: Callable[[], float] = time.monotonic,
        normal_at: Callable[[Alert], float | None] = lambda _: None,
        done: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._normal_at = normal_at
        self._wire, self._evidence, self._figures, self._counted = wire, evidence, figures, counted
        self._clock, self._done = clock, done
        self._leases: dict[str, Lease] = {}
        self._seq: dict[str, int] = {}
        self._events: dict[str, int] = {}
        self._acked: dict[str, int] = {}
        self._scales: dict[str, ModelScale] = {}
        self._judged: list[tuple[CarriedFrame, tuple[Any, ...]]] = []
        self._first_at = 0.0
        self._busy_s: dict[str, float] = {}
        self._facts: dict[str, Facts] = {}

    def lease(self, leases: Sequence[Lease]) -> None:
        """These cameras are watched from their next ``added`` on; a camera that is watched already keeps its counts."""
        for lease in leases:
            if lease.camera not in self._leases or lease.epoch != self._leases[lease.camera].epoch:
                self._leases[lease.camera] = lease
                self._seq[lease.camera] = self._acked[lease.camera] = lease.seq

    def acknowledged(self, camera: str, epoch: int, seq: int) -> None:
        """The run has taken all steps of a camera up to this one."""
        lease = self._leases.get(camera)
        if lease is not None and lease.epoch == epoch:
            self._acked[camera] = max(self._acked[camera], seq)

    @property
    def unacknowledged(self) -> int:
        """Number of steps that the run has not taken yet."""
        return sum(seq - self._acked.get(camera, 0) for camera, seq in self._seq.items())

    def added(self, monitor: CameraMonitor) -> None:
        """Tell of the monitor."""
        self._flush()
        name = monitor.camera
        self._scales.pop(name, None)
        self._wire.send(Joined(name, monitor.smoothing, monitor.settings, monitor.calibration, monitor.events))

    def score(self, judgement: Judgement) -> None:
        """Send the score, soon."""
        scored = judgement.scored
        camera = scored.frame.camera
        now = self._clock()
        if scored.took:
            self._busy_s[camera] = self._busy_s.get(camera, 0.0) + sum(took for _, took in scored.took)
        if self._scales.get(camera) is not judgement.scale:
            self._flush()
            self._tell_scale(camera, judgement.scale)
        if not self._judged:
            self._first_at = now
        self._judged.append(carried_judgement(judgement))
        if now - self._first_at >= TOGETHER_S:
            self._flush()

    def alert(self, alert: Alert, report: CameraReport) -> None:
        """Send the step at once."""
        self._flush()
        camera = alert.camera
        if self._scales.get(camera) is not alert.scale:
            self._tell_scale(camera, alert.scale)
        lease = self._leases.get(camera) or Lease(camera, 0)
        self._seq[camera] = self._seq.get(camera, lease.seq) + 1
        self._events[camera] = alert.event.number
        jpeg = None if alert.event.phase is Phase.UPDATE else snapshot_jpeg(alert)
        self._wire.send(
            Step(
                camera,
                lease.epoch,
                self._seq[camera],
                without_pictures(alert),
                carried_frame(alert.snapshot),
                report,
                jpeg,
                tuple(self._evidence(alert)),
                self._normal_at(alert),
            )
        )

    def health(self, report: CameraReport) -> None:
        """Send the new state."""
        self._flush()
        self._wire.send(HealthTold(report))

    def removed(self, camera: str) -> None:
        """Tell it; the other sinks have yet to write what they know."""
        self._flush()
        self._wire.send(Removed(camera))

    def left(self, camera: str) -> None:
        """Tell that the camera is no longer watched here, and that everything about it is written."""
        lease = self._leases.get(camera) or Lease(camera, 0)
        events = self._events.pop(camera, lease.events)
        self._wire.send(Left(camera, tuple(self._counted(camera)), events))
        for known in (self._leases, self._seq, self._acked, self._busy_s, self._scales, self._facts):
            known.pop(camera, None)

    def facts(self, facts: Iterable[Facts]) -> None:
        """Tell what has changed."""
        for each in facts:
            if self._facts.get(each.camera) != each:
                self._facts[each.camera] = each
                self._wire.send(each)

    def preview_wanted(self, camera: str, kind: Kind) -> bool:  # noqa: ARG002
        """See PreviewOut: the run asks only for pictures that somebody gets."""
        return True

    def publish_preview(
        self, camera: str, kind: Kind, jpeg: bytes, size: tuple[int, int], *, captured_at: float, score: float
    ) -> None:
        """Send a live picture."""
        self._wire.send(PreviewTold(camera, kind, jpeg, size, captured_at, score), droppable=True)

    def moment(self, camera: str, body: Mapping[str, Any], jpeg: bytes | None) -> None:
        """Send one of the most unusual moments of a day."""
        self._wire.send(MomentTold(camera, body, jpeg))

    def tick(self, report: RunReport) -> None:
        """Send the reports."""
        self._flush()
        lost, models, devices = self._figures()
        self._wire.send(
            Tick(report.queue_depth, report.cameras, dict(self._busy_s), lost, models, devices, self._done()),
            droppable=True,
        )
        self._wire.flush()

    def _flush(self) -> None:
        if self._judged:
            judged, self._judged = tuple(self._judged), []
            self._wire.send(Scores(judged), droppable=True)

    def _tell_scale(self, camera: str, scale: ModelScale) -> None:
        self._scales[camera] = scale
        self._wire.send(Scale(camera, scale))
