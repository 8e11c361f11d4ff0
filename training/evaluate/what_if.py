"""Computes which alerts a recorded run would have raised with other settings.

The recorded scores pass through the code of a live run (CameraMonitor, AlertRule), without model and footage. The
settings of the run give the alerts of the run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import ValidationError
from rich.table import Table

from monitor.errors import UsageError, first_problem
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.replay import judged
from monitor.scores.calibration import DAY_S
from monitor.sinks.score_record import RecordHeader, ScoreLine
from monitor.states import Phase
from monitor.text.durations import in_words
from monitor.text.outside import plain
from monitor.text.wording import about
from monitor.types import Detection, Frame, ScoredFrame

_NO_IMAGE = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Changes:
    """Settings that differ from those of the run. None: as recorded.

    threshold             factor on the alert rule's ``on`` and ``off``
    false_alarms_per_day  false-alarm budget; sets a new threshold
    alert                 name of a setting in AlertSettings -> value
    """

    threshold: float | None = None
    false_alarms_per_day: float | None = None
    alert: Mapping[str, float | None] = field(default_factory=dict)

    def check(self) -> None:
        """Raise UsageError if a number is outside of its range. A number on the command line may also be ``nan``."""
        for flag, value, least, most in (
            ("--threshold", self.threshold, 0.01, 1000.0),
            ("--false-alarms-per-day", self.false_alarms_per_day, LEAST_PER_DAY, MOST_PER_DAY),
        ):
            if value is not None and not least <= value <= most:
                raise UsageError(f"{flag} is {value:g}: give a number from {least:g} to {most:g}")

    def rule(self, recorded: AlertSettings) -> AlertSettings:
        """The settings of the alert rule. Raises UsageError if they contradict each other."""
        factor = self.threshold or 1.0
        given = {name: value for name, value in self.alert.items() if value is not None}
        try:
            return recorded.but(**{"on": recorded.on * factor, "off": recorded.off * factor} | given)
        except ValidationError as error:
            what = first_problem(error)[1].removeprefix("Value error, ")
            raise UsageError(f"{_with_flags(what)}: choose other values") from error


_NAMES = re.compile(rf"\b({'|'.join(AlertSettings.model_fields)})\b(?= \(| must| and )")


def _with_flags(sentence: str) -> str:
    """A sentence about settings of the alert rule, with the flags of ``what-if`` instead of their names."""
    return _NAMES.sub(lambda found: f"--{found[1].removesuffix('_s').replace('_', '-')}", sentence)


@dataclass
class CameraOutcome:
    """The result for one camera. seconds: scored footage without gaps; supported_per_day: see ModelScale."""

    camera: str
    supported_per_day: float
    seconds: float = 0.0
    alerts: list[Alert] = field(default_factory=list)

    @property
    def events(self) -> list[Alert]:
        """The last step of each event. Every event that has begun has one."""
        return [alert for alert in self.alerts if alert.event.phase is Phase.END]

    @property
    def per_day(self) -> float | None:
        """Events per day; None without footage."""
        return len(self.events) * DAY_S / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Outcome:
    """The results for all cameras. alerts: every step, in the order in which the run would have recorded it."""

    cameras: tuple[CameraOutcome, ...]
    alerts: tuple[Alert, ...]


class _Replay:
    """Passes the scores of one camera through separate CameraMonitors: a new one after each header.

    A camera gets another header if its model or its settings for judging have changed: after it has learned, or after a
    reload of the config.
    """

    def __init__(self, header: RecordHeader, changes: Changes) -> None:
        self._changes = changes
        self._last: tuple[int, float] | None = None
        self._before: CameraMonitor | None = None
        self._begin(header)
        self.outcome = CameraOutcome(header.camera, self._monitor.scale.supported_per_day)

    def _begin(self, header: RecordHeader) -> None:
        scale = header.scale(self._changes.false_alarms_per_day)
        rule = self._changes.rule(header.alert)
        calibration = header.calibration.calibration(scale)
        self._monitor = CameraMonitor(header.camera, scale, header.smoothing, rule, calibration=calibration)

    def judged_anew(self, header: RecordHeader) -> list[Alert]:
        """Judge the camera by another header from now on. Its open event ends. Returns the alerts of that."""
        alerts = self.close()
        self._before = self._monitor
        self._begin(header)
        supported = max(self.outcome.supported_per_day, self._monitor.scale.supported_per_day)
        self.outcome.supported_per_day = supported
        return alerts

    def _continue(self, segment: int, time_s: float) -> None:
        """After another header, continue the event numbers, as the run does, also for a camera that was added again.

        Raises UsageError for a second run, and ValueError if the time goes back without another header.
        """
        before, self._before = self._before, None
        if self._last is not None and (segment, time_s) <= self._last:
            if before is None:
                raise ValueError(f"they come after those at {self._last[1]:.12g} s")
            raise UsageError(f"the record contains two runs of '{self.outcome.camera}': give a file with only one run")
        if before is not None:
            self._monitor.count_from(before.events)

    def take(self, line: ScoreLine) -> tuple[Alert, ...]:
        self._continue(line.segment, line.time_s)
        before, self._last = self._last, (line.segment, line.time_s)
        frame = Frame(line.camera, line.index, line.time_s, _NO_IMAGE, line.segment, armed=line.armed)
        detections = tuple(Detection(line.raw[name]) for name in self._monitor.scale.names)
        (judgement,) = judged([ScoredFrame(frame, detections, 0.0, place=line.place)], self._monitor)
        if before is not None and before[0] == line.segment and not math.isnan(judgement.score):
            self.outcome.seconds += line.time_s - before[1]
        if math.isinf(judgement.score):
            raise ValueError("a score is infinite")
        alerts = _unexplained(judgement.alerts)
        self.outcome.alerts.extend(alerts)
        return alerts

    def close(self) -> list[Alert]:
        alerts = list(_unexplained(self._monitor.close()))
        self.outcome.alerts.extend(alerts)
        return alerts


def _unexplained(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """The alerts without reasons: only the detectors know those of the run."""
    return tuple(replace(alert, reasons=()) for alert in alerts)


def replay(lines: Iterable[RecordHeader | ScoreLine], changes: Changes) -> Outcome:
    """Compute the alerts of a score record with the changed settings.

    Raises UsageError if the record or the changes are invalid, ModelError if no threshold can be set.
    """
    changes.check()
    replays: dict[str, _Replay] = {}
    alerts: list[Alert] = []
    in_order = False
    for line in lines:
        if isinstance(line, RecordHeader):
            if line.camera in replays:
                alerts.extend(replays[line.camera].judged_anew(line))
            else:
                replays[line.camera] = _Replay(line, changes)
            in_order = line.sorted
        else:
            try:
                alerts.extend(replays[line.camera].take(line))
            except (KeyError, ValueError) as error:
                raise UsageError(
                    f"the scores of '{line.camera}' at {line.time_s} s are invalid ({error}): record the run again"
                ) from error
    for entry in replays.values():
        alerts.extend(entry.close())
    if in_order:  # as the recorder does, so that the same settings give the same file
        alerts.sort(key=lambda alert: alert.camera)
    return Outcome(tuple(entry.outcome for entry in replays.values()), tuple(alerts))


def summary_table(outcome: Outcome) -> Table:
    """One row per camera: how many alerts a user would have had to check."""
    table = Table(title="Alerts by camera", title_justify="left", box=None, pad_edge=False)
    for column in ("camera", "footage", "alerts", "notifications", "rate"):
        table.add_column(column, overflow="fold", justify="left" if column == "camera" else "right")
    for camera in outcome.cameras:
        notify = sum(alert.event.notify for alert in camera.events)
        rate = "-" if camera.per_day is None else rate_text(camera.per_day)
        table.add_row(plain(camera.camera), in_words(camera.seconds), str(len(camera.events)), str(notify), rate)
    return table


def alert_table(outcome: Outcome) -> Table:
    """One row per event."""
    table = Table(title="Alerts", title_justify="left", box=None, pad_edge=False)
    for column in ("camera", "alert", "starts at", "length", "peak", ""):
        table.add_column(column, overflow="fold", justify="left" if column in ("camera", "") else "right")
    for alert in (alert for camera in outcome.cameras for alert in camera.events):
        event = alert.event
        assert event.ended_s is not None
        length_s = event.ended_s - event.started_s
        quiet = "" if event.notify else "quiet"
        row = (str(event.number), f"{event.started_s:.1f} s", f"{length_s:.1f} s", f"{event.peak_score:.2f}", quiet)
        table.add_row(plain(alert.camera), *row)
    return table


def notes(outcome: Outcome, false_alarms_per_day: float | None) -> list[str]:
    """Limits of the figures, one sentence each."""
    said = []
    supported = max((camera.supported_per_day for camera in outcome.cameras), default=0.0)
    if false_alarms_per_day is not None and supported > false_alarms_per_day:
        said.append(
            f"The model's held-out footage can confirm rates down to {about(supported)} false alarms per day; "
            f"the threshold for {false_alarms_per_day:g} is extrapolated."
        )
    seconds = sum(camera.seconds for camera in outcome.cameras)
    if seconds < DAY_S:
        said.append(f"The rate is counted in only {in_words(seconds)} of footage, so it is not precise.")
    return said


def rate_text(per_day: float) -> str:
    """A rate in a suitable unit: ``2.5 per day``, ``4 per hour``, ``1.2 per minute``."""
    if per_day <= 24:
        return f"{about(per_day)} per day"
    per_hour = per_day / 24
    return f"{about(per_hour)} per hour" if per_hour <= 60 else f"{about(per_hour / 60)} per minute"
