"""Scores and alerts as JSON lines: the sink that records them, the lines, and how to read them.

``--record-scores`` and ``--record-alerts`` write these files. Nothing in them differs from run to run: times are the
stream's own, so the same file, config and model give byte-identical records. Cameras that are files are put in order
(camera, time) when the run ends, since how their lines interleave is a matter of timing.

A score record holds, before a camera's first score, a header with everything that alerts follow from: what the model's
held-out scores looked like and the settings of the run. So alerts can be worked out again without model and footage.
Reasons and regions cannot: they are the model's, and only the alert record has them.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from monitor.errors import ConfigError, RunError, UsageError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.judging.fusion import ModelScale, Sense
from monitor.judging.live_calibration import MOST_BLOCKS, LiveCalibration, Peaks
from monitor.live.sink import Sink
from monitor.private_files import open_private
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.reading import MB, open_file, parse_json
from monitor.reports import CameraReport
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.alert_facts import alert_facts
from monitor.text.commands import monitor_command
from monitor.text.outside import safe
from monitor.types import Place

log = logging.getLogger(__name__)

_LONGEST_LINE = 1 * MB


def _score(value: object) -> object:
    if isinstance(value, str):  # otherwise "NaN" would be taken for a number
        raise ValueError("a score is a number")  # noqa: TRY004 - pydantic takes no TypeError
    return math.nan if value is None else value


Score = Annotated[float, BeforeValidator(_score)]
"""NaN, null in the file, while it cannot be judged."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class CalibrationState(_Line):
    """What a camera's threshold had learned before the first score, see LiveCalibration.

    highest  sense -> the highest score of each block
    limits   sense -> number of a block -> the threshold in force, of blocks that were part of an alarm
    """

    on: bool = False
    whole: bool = False
    watched_s: float = Field(0.0, ge=0, le=1e10)
    highest: dict[str, Annotated[tuple[FiniteFloat, ...], Field(max_length=MOST_BLOCKS)]] = {}
    limits: dict[str, dict[int, FiniteFloat]] = {}

    @classmethod
    def of(cls, calibration: LiveCalibration) -> Self:
        """The present state."""
        limits = {
            name: {at: limit for at, limit in enumerate(peaks.limits) if math.isfinite(limit)}
            for name, peaks in calibration.peaks.items()
        }
        highest = {name: tuple(peaks.highest) for name, peaks in calibration.peaks.items()}
        on, whole = calibration.on, calibration.whole
        return cls(on=on, whole=whole, watched_s=calibration.watched_s, highest=highest, limits=limits)

    def calibration(self, scale: ModelScale) -> LiveCalibration:
        """The calibration in this state. scale: what the held-out footage gives."""
        peaks = {
            name: Peaks(list(highest), [self.limits.get(name, {}).get(at, math.inf) for at in range(len(highest))])
            for name, highest in self.highest.items()
        }
        return LiveCalibration(scale, on=self.on, whole=self.whole, peaks=peaks, watched_s=self.watched_s)


class RecordHeader(_Line):
    """A camera's header.

    sorted                True if the lines were put in order of camera when the run ended
    model                 the model's name and the beginning of its hash
    false_alarms_per_day  the budget of the run
    detectors             their names, in the model's order
    senses                what is added up, and what the held-out scores looked like
    smoothing, alert      the settings of the run
    calibration           what the threshold had learned from what was watched before
    """

    record: Literal["true-sight-scores"] = "true-sight-scores"
    version: Literal[2] = 2
    camera: str
    sorted: bool
    model: str
    false_alarms_per_day: float = Field(ge=LEAST_PER_DAY, le=MOST_PER_DAY)
    detectors: tuple[str, ...] = Field(min_length=1)
    senses: dict[str, Sense] = Field(min_length=1)
    smoothing: SmoothingSettings
    alert: AlertSettings
    calibration: CalibrationState = CalibrationState()

    @model_validator(mode="after")
    def _of_one_model(self) -> Self:
        self.scale()
        return self

    @classmethod
    def of(cls, monitor: CameraMonitor, *, sort: bool) -> RecordHeader:
        """What a camera's alerts follow from."""
        return cls(
            camera=monitor.camera,
            sorted=sort,
            model=monitor.scale.model.id,
            false_alarms_per_day=monitor.scale.false_alarms_per_day,
            detectors=monitor.scale.names,
            senses=monitor.scale.senses,
            smoothing=monitor.smoothing,
            alert=monitor.settings,
            calibration=CalibrationState.of(monitor.calibration),
        )

    def scale(self, false_alarms_per_day: float | None = None) -> ModelScale:
        """The scale of the run, or that of another budget."""
        budget = false_alarms_per_day or self.false_alarms_per_day
        return ModelScale.of_senses(self.model, self.detectors, self.senses, budget, self.alert.lasting)


class ScoreLine(_Line):
    """One frame. score: smoothed, in units of the threshold; raw: detector name -> score in its own units.

    place: where the picture is most abnormal, for scores of 0.5 or more; None for other scores, or if unknown
    armed: False if alerts were not raised at this time
    """

    camera: str
    time_s: FiniteFloat
    index: int
    segment: int
    score: Score
    raw: dict[str, Score]
    place: Place | None = None
    armed: bool = True


def header_line(monitor: CameraMonitor, *, sort: bool) -> str:
    """A camera's header as JSON."""
    return RecordHeader.of(monitor, sort=sort).model_dump_json()


def score_line(judgement: Judgement) -> str:
    """A frame's score as JSON, smoothed and raw."""
    frame = judgement.scored.frame
    raw = [_number(detection.score) for detection in judgement.scored.detections]
    line: dict[str, object] = {
        "camera": frame.camera,
        "time_s": frame.time_s,
        "index": frame.index,
        "segment": frame.segment,
        "score": _number(judgement.score),
        "raw": dict(zip(judgement.scale.names, raw, strict=True)),
    }
    if judgement.place is not None:
        line["place"] = judgement.place
    if not frame.armed:
        line["armed"] = False
    return json.dumps(line, allow_nan=False)


def alert_line(alert: Alert) -> str:
    """A step of an event as JSON."""
    facts = alert_facts(alert)
    names = ("number", "phase", "started_s", "ended_s", "score", "peak_score", "peak_s", "notify", "regions")
    line = {"camera": facts["camera"], **{name: facts[name] for name in names}}
    line["reasons"] = [str(reason) for reason in alert.reasons]
    if not alert.event.armed:
        line["armed"] = False
    return json.dumps(line, allow_nan=False)


def is_record(path: Path) -> bool:
    """Is this existing file empty, or a score or alert record? Raises nothing: an unreadable file is none."""
    try:
        with open_file(path) as file:
            start = file.readline(_LONGEST_LINE)
        first = parse_json(start) if start else {"camera": ""}
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and "camera" in first and ("record" in first or "phase" in first or len(first) == 1)


def read_scores(path: Path) -> Iterator[RecordHeader | ScoreLine]:
    """The lines of a score record, in the file's order; each camera's header comes before its scores.

    A last line that a killed monitor did not complete is left out, and a warning says so. Raises UsageError for
    anything else.
    """
    try:
        with open_file(path) as file:
            yield from _parse(path, iter(lambda: file.readline(_LONGEST_LINE), b""))
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check the path, or {_make_one()}") from error


def _parse(path: Path, lines: Iterator[bytes]) -> Iterator[RecordHeader | ScoreLine]:
    known: set[str] = set()
    for number, text in enumerate(lines, 1):
        try:
            line: RecordHeader | ScoreLine
            content = parse_json(text)
            if isinstance(content, dict) and "record" in content:
                line = RecordHeader.model_validate(content)
                known.add(line.camera)
            else:
                line = ScoreLine.model_validate(content)
        except ValueError as error:
            if known and not text.endswith(b"\n") and len(text) < _LONGEST_LINE:
                log.warning("line %d of %s is cut off and is left out: the run was ended early", number, safe(path))
                return
            what = "is damaged" if known else "is no score record, or one of another version"
            raise UsageError(f"{path} {what} (line {number}): {_make_one()}") from error
        if line.camera not in known:
            raise UsageError(
                f"{path} has scores of '{line.camera}' without its header (line {number}): record it again"
            )
        yield line
    if not known:
        raise UsageError(f"{path} holds no scores: {_make_one()}")


def _make_one() -> str:
    return f"make one with `{monitor_command('SOURCE --record-scores FILE')}`"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


class Recorder(Sink):
    """Writes one line per score and one line per step of an alert. A context manager.

    scores, alerts  files to write, or None
    sort            True when every source ends: lines are put in order at the end

    Raises ConfigError on entry if a file cannot be opened, RunError on exit if a write has failed.
    """

    def __init__(self, scores: Path | None, alerts: Path | None, *, sort: bool) -> None:
        self._paths = {"score": scores, "alert": alerts}
        self._sort = sort
        self._files: dict[str, IO[str]] = {}
        self._failure: str | None = None

    def __enter__(self) -> Self:
        self._check()
        for kind, path in self._paths.items():
            if path is None:
                continue
            try:
                self._files[kind] = open_private(path, "w", encoding="utf-8")
            except OSError as error:
                for file in self._files.values():
                    file.close()
                raise ConfigError(
                    f"cannot write {path}: {error.strerror}; choose a file in an existing folder"
                ) from error
        return self

    def _check(self) -> None:
        """Raise ConfigError before anything is written over that is no earlier record."""
        scores, alerts = self._paths["score"], self._paths["alert"]
        if scores is not None and alerts is not None and scores.absolute() == alerts.absolute():
            raise ConfigError(f"scores and alerts cannot both be written to {scores}: give two files")
        for path in (scores, alerts):
            if path is not None and path.is_file() and not is_record(path):
                raise ConfigError(f"{path} exists and is no record of this program: choose another file, or delete it")

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        for kind, file in self._files.items():
            try:
                file.close()
                if self._sort and self._failure is None:
                    self._put_in_order(kind)
            except OSError as error:
                self._failure = f"{self._paths[kind]}: {error.strerror}"
        if self._failure and exc_type is None:
            raise RunError(
                f"the record is incomplete, {self._failure}: make room and run again; alerts were not affected"
            )

    def added(self, monitor: CameraMonitor) -> None:
        """Record what the camera's alerts follow from, before its first score."""
        self._write("score", header_line(monitor, sort=self._sort))

    def score(self, judgement: Judgement) -> None:
        """Record a score, smoothed and raw."""
        self._write("score", score_line(judgement))

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - a report differs from run to run
        """Record a step of an event."""
        self._write("alert", alert_line(alert))

    def _write(self, kind: str, line: str) -> None:
        """A disk that is full costs the record, never the alerts: the failure is kept and told at the end."""
        file = self._files.get(kind)
        if file is None or self._failure is not None:
            return
        try:
            file.write(line + "\n")
            if kind == "alert":
                file.flush()
        except OSError as error:
            self._failure = f"{self._paths[kind]}: {error.strerror}"

    def _put_in_order(self, kind: str) -> None:
        """Stable, so that each camera's lines keep their own order. The record of days does not fit into memory."""
        path = self._paths[kind]
        assert path is not None
        if not path.is_file():  # a pipe or a terminal
            return
        partial = path.with_name(path.name + ".partial")
        with open_file(path) as file, ExitStack() as stack:
            cameras: dict[str, IO[bytes]] = {}
            for line in file:
                camera = str(json.loads(line)["camera"])
                if camera not in cameras:
                    cameras[camera] = stack.enter_context(TemporaryFile(dir=path.parent))
                cameras[camera].write(line)
            if len(cameras) < 2:
                return
            try:
                with open_private(partial, "wb") as ordered:
                    for _, lines in sorted(cameras.items()):
                        lines.seek(0)
                        shutil.copyfileobj(lines, ordered)
                partial.replace(path)
            except OSError:
                partial.unlink(missing_ok=True)
                raise
