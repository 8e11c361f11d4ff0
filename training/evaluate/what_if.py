"""What alerts would there have been: recorded scores through the live alert rule again, with other settings.

The same code as live (CameraMonitor, AlertRule), without model and footage; the settings of the run give its alerts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from rich.table import Table

from monitor.errors import UsageError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.replay import judged
from monitor.scores.calibration import DAY_S
from monitor.sinks.score_record import RecordHeader, ScoreLine
from monitor.states import Phase
from monitor.text.durations import in_words
from monitor.text.wording import about
from monitor.types import Detection, Frame, ScoredFrame

_NO_IMAGE = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Changes:
    """What differs from the run; None: as recorded.

    threshold             factor on the alert rule's ``on`` and ``off``
    false_alarms_per_day  budget from which the threshold is worked out anew
    alert                 names of AlertSettings -> values
    """

    threshold: float | None = None
    false_alarms_per_day: float | None = None
    alert: Mapping[str, float | None] = field(default_factory=dict)

    def rule(self, recorded: AlertSettings) -> AlertSettings:
        """The settings of the alert rule. Raises UsageError where they contradict each other."""
        factor = self.threshold or 1.0
        given = {name: value for name, value in self.alert.items() if value is not None}
        try:
            return replace(recorded, **{"on": recorded.on * factor, "off": recorded.off * factor} | given)
        except ValueError as error:
            raise UsageError(f"{error}: choose other values") from error


@dataclass
class CameraOutcome:
    """What became of one camera. seconds: of scored footage, gaps left out; supported_per_day: see ModelScale."""

    camera: str
    supported_per_day: float
    seconds: float = 0.0
    alerts: list[Alert] = field(default_factory=list)

    @property
    def events(self) -> list[Alert]:
        """The end of each event: every event that has begun has one."""
        return [alert for alert in self.alerts if alert.event.phase is Phase.END]

    @property
    def per_day(self) -> float | None:
        """Events a day; None without footage."""
        return len(self.events) * DAY_S / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Outcome:
    """What became of all cameras. alerts: every step in the order in which the run would have recorded it."""

    cameras: tuple[CameraOutcome, ...]
    alerts: tuple[Alert, ...]


class _Replay:
    """One camera: its scores through a monitor of its own."""

    def __init__(self, header: RecordHeader, changes: Changes) -> None:
        scale = header.scale(changes.false_alarms_per_day)
        self.outcome = CameraOutcome(header.camera, scale.supported_per_day)
        self._detectors = scale.names
        self._monitor = CameraMonitor(header.camera, scale, header.smoothing, changes.rule(header.alert))
        self._last: tuple[int, float] | None = None

    def take(self, line: ScoreLine) -> tuple[Alert, ...]:
        if self._last is not None and self._last[0] == line.segment:
            self.outcome.seconds += line.time_s - self._last[1]
        self._last = (line.segment, line.time_s)
        frame = Frame(line.camera, line.index, line.time_s, _NO_IMAGE, line.segment)
        detections = tuple(Detection(line.raw[name]) for name in self._detectors)
        (judgement,) = judged([ScoredFrame(frame, detections, 0.0)], self._monitor)
        if math.isinf(judgement.score):
            raise ValueError("a score is infinite")
        self.outcome.alerts.extend(judgement.alerts)
        return judgement.alerts

    def close(self) -> list[Alert]:
        alerts = self._monitor.close()
        self.outcome.alerts.extend(alerts)
        return alerts


def replay(lines: Iterable[RecordHeader | ScoreLine], changes: Changes) -> Outcome:
    """Work out the alerts of a score record with the changed settings.

    Raises UsageError where the record or the changes make no sense, ModelError where no threshold can be set.
    """
    replays: dict[str, _Replay] = {}
    alerts: list[Alert] = []
    in_order = False
    for line in lines:
        if isinstance(line, RecordHeader):
            if line.camera in replays:
                raise UsageError(f"the record has two headers of '{line.camera}': take one run a file")
            replays[line.camera] = _Replay(line, changes)
            in_order = line.sorted
        else:
            try:
                alerts.extend(replays[line.camera].take(line))
            except (KeyError, ValueError) as error:
                raise UsageError(f"the scores of '{line.camera}' at {line.time_s} s make no sense: {error}") from error
    for entry in replays.values():
        alerts.extend(entry.close())
    if in_order:  # as the recorder does it, so that the same settings give the same file
        alerts.sort(key=lambda alert: alert.camera)
    return Outcome(tuple(entry.outcome for entry in replays.values()), tuple(alerts))


def summary_table(outcome: Outcome) -> Table:
    """A line a camera: how much there would have been to look at."""
    table = Table(title="Alerts by camera", title_justify="left", box=None, pad_edge=False)
    for column in ("camera", "footage", "alerts", "of these notify", "rate"):
        table.add_column(column, overflow="fold", justify="left" if column == "camera" else "right")
    for camera in outcome.cameras:
        notify = sum(alert.event.notify for alert in camera.events)
        rate = "-" if camera.per_day is None else rate_text(camera.per_day)
        table.add_row(camera.camera, in_words(camera.seconds), str(len(camera.events)), str(notify), rate)
    return table


def alert_table(outcome: Outcome) -> Table:
    """A line an event."""
    table = Table(title="Alerts", title_justify="left", box=None, pad_edge=False)
    for column in ("camera", "alert", "starts at", "length", "peak", ""):
        table.add_column(column, overflow="fold", justify="left" if column in ("camera", "") else "right")
    for alert in (alert for camera in outcome.cameras for alert in camera.events):
        event = alert.event
        assert event.ended_s is not None
        length_s = event.ended_s - event.started_s
        quiet = "" if event.notify else "in cool-down"
        row = (str(event.number), f"{event.started_s:.1f} s", f"{length_s:.1f} s", f"{event.peak_score:.2f}", quiet)
        table.add_row(alert.camera, *row)
    return table


def notes(outcome: Outcome, false_alarms_per_day: float | None) -> list[str]:
    """What to know of the figures, in sentences."""
    said = []
    supported = max((camera.supported_per_day for camera in outcome.cameras), default=0.0)
    if false_alarms_per_day is not None and supported > false_alarms_per_day:
        said.append(
            f"The model's held-out footage shows rates down to {about(supported)} false alarms a day; "
            f"the threshold for {false_alarms_per_day:g} is extrapolated."
        )
    seconds = sum(camera.seconds for camera in outcome.cameras)
    if seconds < DAY_S:
        said.append(f"The rate is counted in only {in_words(seconds)} of footage: the less, the rougher.")
    return said


def rate_text(per_day: float) -> str:
    """A rate in the unit that suits it: ``2.5 a day``, ``4 an hour``, ``1.2 a minute``."""
    if per_day <= 24:
        return f"{about(per_day)} a day"
    per_hour = per_day / 24
    return f"{about(per_hour)} an hour" if per_hour <= 60 else f"{about(per_hour / 60)} a minute"
