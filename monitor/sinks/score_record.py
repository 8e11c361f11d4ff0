"""The lines of recorded scores and alerts: what ``--record-scores`` and ``--record-alerts`` write, and how to read it.

A score record holds, before a camera's first score, a header with everything that alerts follow from: what the model's
held-out scores looked like and the settings of the run. So alerts can be worked out again without model and footage.
Reasons and regions cannot: they are the model's, and only the alert record has them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from monitor.errors import UsageError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.judging.fusion import ModelScale, Sense
from monitor.scores.smoothing import SmoothingSettings
from monitor.text.commands import monitor_command

Score = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""NaN, null in the file, while it cannot be judged."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class RecordHeader(_Line):
    """A camera's header.

    sorted                True if the lines were put in order of camera when the run ended
    model                 the model's name and the beginning of its hash
    false_alarms_per_day  the budget of the run
    detectors             their names, in the model's order
    senses                what is added up, and what the held-out scores looked like
    smoothing, alert      the settings of the run
    """

    record: Literal["true-sight-scores"] = "true-sight-scores"
    version: Literal[2] = 2
    camera: str
    sorted: bool
    model: str
    false_alarms_per_day: float = Field(gt=0)
    detectors: tuple[str, ...] = Field(min_length=1)
    senses: dict[str, Sense] = Field(min_length=1)
    smoothing: SmoothingSettings
    alert: AlertSettings

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
        )

    def scale(self, false_alarms_per_day: float | None = None) -> ModelScale:
        """The scale of the run, or that of another budget."""
        budget = false_alarms_per_day or self.false_alarms_per_day
        return ModelScale.of_senses(self.model, self.detectors, self.senses, budget)


class ScoreLine(_Line):
    """One frame. score: smoothed, in units of the threshold; raw: detector name -> score in its own units."""

    camera: str
    time_s: FiniteFloat
    index: int
    segment: int
    score: Score
    raw: dict[str, Score]


def header_line(monitor: CameraMonitor, *, sort: bool) -> str:
    """A camera's header as JSON."""
    return RecordHeader.of(monitor, sort=sort).model_dump_json()


def score_line(judgement: Judgement) -> str:
    """A frame's score as JSON, smoothed and raw."""
    frame = judgement.scored.frame
    raw = [_number(detection.score) for detection in judgement.scored.detections]
    line = {
        "camera": frame.camera,
        "time_s": frame.time_s,
        "index": frame.index,
        "segment": frame.segment,
        "score": _number(judgement.score),
        "raw": dict(zip(judgement.scale.names, raw, strict=True)),
    }
    return json.dumps(line, allow_nan=False)


def alert_line(alert: Alert) -> str:
    """A step of an event as JSON."""
    line = {"camera": alert.camera, **asdict(alert.event)}
    line["regions"] = [asdict(region) for region in alert.regions]
    line["reasons"] = [str(reason) for reason in alert.reasons]
    return json.dumps(line, allow_nan=False)


def is_record(path: Path) -> bool:
    """Is this existing file empty, or a score or alert record? Raises nothing: an unreadable file is none."""
    try:
        with path.open("rb") as file:
            start = file.readline(65_536)
        first = json.loads(start) if start else {"camera": ""}
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and "camera" in first and ("record" in first or "phase" in first or len(first) == 1)


def read_scores(path: Path) -> Iterator[RecordHeader | ScoreLine]:
    """The lines of a score record, in the file's order; each camera's header comes before its scores.

    A last line that a killed monitor did not complete is left out. Raises UsageError for anything else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yield from _parse(path, file)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check the path, or {_make_one()}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no score record: {_make_one()}") from None


def _parse(path: Path, lines: Iterator[str]) -> Iterator[RecordHeader | ScoreLine]:
    known: set[str] = set()
    for number, text in enumerate(lines, 1):
        try:
            line: RecordHeader | ScoreLine
            content = json.loads(text)
            if isinstance(content, dict) and "record" in content:
                line = RecordHeader.model_validate(content)
                known.add(line.camera)
            else:
                line = ScoreLine.model_validate(content)
        except (ValueError, RecursionError) as error:  # also for numbers too long, brackets too deep
            if not text.endswith("\n"):
                return
            what = "is damaged" if known else "is no score record, or one of another version"
            raise UsageError(f"{path} {what} (line {number}): {_make_one()}") from error
        if line.camera not in known:
            raise UsageError(
                f"{path} has scores of '{line.camera}' without its header (line {number}): record it again"
            )
        yield line


def _make_one() -> str:
    return f"make one with `{monitor_command('SOURCE --record-scores FILE')}`"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
