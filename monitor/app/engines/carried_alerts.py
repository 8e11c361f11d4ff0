"""Judgements and alerts as they are carried from an engine: everything that the run's sinks need, without pictures."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np

from monitor.app.engines.engine_messages import CarriedFrame, Step
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.judging.fusion import ModelScale
from monitor.types import Detection, Frame, Health, ScoredFrame

_USUAL = Health()
_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)
_ELSEWHERE = cast(ModelScale, None)  # carried once, in a message of its own


@dataclass(frozen=True, slots=True, eq=False)
class CarriedAlert(Alert):
    """An alert from an engine, with what was made of its picture there."""

    jpeg: bytes | None = None
    evidence: tuple[str, ...] = ()
    normal_at: float | None = None


def carried_frame(scored: ScoredFrame) -> CarriedFrame:
    """A scored frame without its picture and maps."""
    frame = scored.frame
    return CarriedFrame(
        frame.camera,
        frame.index,
        frame.time_s,
        frame.segment,
        frame.captured_at,
        frame.wall_time,
        frame.media_s,
        frame.armed,
        frame.prepared_s,
        None if frame.health == _USUAL else frame.health,
        tuple([detection.score for detection in scored.detections]),
        scored.scored_at,
        scored.model,
        scored.started_at,
        scored.took,
    )


def scored_frame(carried: CarriedFrame) -> ScoredFrame:
    """The frame again, with a picture of one pixel."""
    frame = Frame(
        carried.camera,
        carried.index,
        carried.time_s,
        _NO_PICTURE,
        carried.segment,
        carried.captured_at,
        carried.wall_time,
        carried.health or _USUAL,
        carried.media_s,
        None,
        carried.armed,
        carried.prepared_s,
    )
    detections = tuple([Detection(score) for score in carried.raw])
    return ScoredFrame(frame, detections, carried.scored_at, carried.model, carried.started_at, carried.took)


def carried_judgement(judgement: Judgement) -> tuple[CarriedFrame, tuple[Any, ...]]:
    """A judgement without its alerts and its scale, which are carried on their own."""
    rest = (
        judgement.score,
        judgement.by_detector,
        judgement.loudest,
        judgement.advice,
        judgement.reasons,
        judgement.place,
    )
    return carried_frame(judgement.scored), rest


def judgement_of(carried: CarriedFrame, rest: tuple[Any, ...], scale: ModelScale) -> Judgement:
    """The judgement again."""
    score, by_detector, loudest, advice, reasons, place = rest
    return Judgement(scored_frame(carried), score, (), scale, by_detector, loudest, advice, reasons, place)


def without_pictures(alert: Alert) -> Alert:
    """The alert as a message holds it: ``alert_of`` completes it."""
    return replace(alert, snapshot=cast(ScoredFrame, None), anomaly_map=None, scale=_ELSEWHERE)


def alert_of(step: Step, scale: ModelScale) -> CarriedAlert:
    """The alert of a step again."""
    given = {each.name: getattr(step.alert, each.name) for each in fields(Alert)}
    given |= {"snapshot": scored_frame(step.frame), "scale": scale}
    return CarriedAlert(**given, jpeg=step.jpeg, evidence=step.evidence, normal_at=step.normal_at)


def carried_jpeg(alert: Alert) -> bytes | None:
    """The picture to publish with an alert from an engine."""
    return alert.jpeg if isinstance(alert, CarriedAlert) else None


def carried_evidence(alert: Alert) -> tuple[str, ...]:
    """Names of the files of evidence of an alert from an engine."""
    return alert.evidence if isinstance(alert, CarriedAlert) else ()


def carried_normal_at(alert: Alert) -> float | None:
    """When the nearest normal picture of an alert from an engine was taken, unix seconds."""
    return alert.normal_at if isinstance(alert, CarriedAlert) else None
