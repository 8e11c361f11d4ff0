"""Measures a model on labelled footage, and for comparison the mean frame difference on the same frames.

Everything is causal, as in a live run: no score depends on a later frame, on the rest of the video, or on the test set.
Only the published protocol, if selected, is not causal.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import SourceError, UsageError
from monitor.judging.fusion import ModelScale
from monitor.judging.published_postprocess import published_postprocess
from monitor.model.model_store import Model
from monitor.reading import real_path
from monitor.replay import medians
from monitor.scores.smoothing import SmoothingSettings
from monitor.text.wording import counted
from training.evaluate.events import EventFigures, compare
from training.evaluate.frame_difference import smoothed_difference
from training.evaluate.labels import LabelledVideo
from training.evaluate.localisation import HitRate, Hits
from training.evaluate.ranking import Judged, Metrics, metrics, mixed
from training.evaluate.region_detection import RegionDetection
from training.evaluate.watching import DIFFERENCE, FUSED, Watched, WatchSettings, watch
from training.output import Post
from training.progress import Report
from training.score_table import check_raw, raw_fused

__all__ = ["Evaluation", "Judged", "Measured", "Metrics", "Settings", "WatchSettings", "evaluate", "metrics", "overlap"]


@dataclass(frozen=True)
class Settings:
    """How a model is measured.

    post                  ``causal``: as in a live run; ``published``: every frame, offline post-processing, no events
    false_alarms_per_day  false-alarm budget; sets the threshold
    watch                 analysis rate, faults, frames to keep for the plots
    """

    post: Post = Post.CAUSAL
    false_alarms_per_day: float = 1.0
    watch: WatchSettings = field(default_factory=WatchSettings)


@dataclass(frozen=True)
class Evaluation:
    """The figures of a model, and those of the mean absolute frame difference on the same frames.

    analysed      frames that were analysed; each score is valid until the next one
    not_scored    state of health -> number of analysed frames that were not scored because of it
    analysis_fps  frames analysed per second, 0 for all
    scores        metrics of the fused score
    detectors     name -> metrics of each detector alone
    events        events at the threshold; None with the published protocol, which has no events
    rbdc          region-based detection criterion of the fused map, see ``region_detection``; NaN without masks
    hit_rates     ``fused``, each detector and ``frame difference`` -> share of map peaks inside the masks
    ms            stage (decode, health, each detector) -> median milliseconds per analysed frame
    """

    model: str
    post: str
    corruption: str | None
    analysis_fps: float
    videos: int
    mixed_videos: int
    frames: int
    abnormal: int
    analysed: int
    unreadable: int
    not_scored: dict[str, int]
    scores: Metrics
    detectors: dict[str, Metrics]
    frame_difference: Metrics
    events: EventFigures | None
    hit_rates: dict[str, HitRate]
    rbdc: float
    ms: dict[str, float]

    @property
    def ms_per_frame(self) -> float:
        """Median milliseconds per analysed frame, all stages together."""
        return sum(self.ms.values())


@dataclass(frozen=True, eq=False)
class Measured:
    """An evaluation with the data for its plots.

    watched  the videos
    judged   ``fused``, each detector and ``frame difference`` -> labels and scores of every frame, video by video
    """

    evaluation: Evaluation
    watched: tuple[Watched, ...]
    judged: dict[str, list[Judged]]


def evaluate(
    videos: Sequence[LabelledVideo], model: Model, report: Report, settings: Settings | None = None
) -> Measured:
    """Watch the videos, each as a separate camera, and compare the scores with the labels.

    Raises UsageError if all frames have the same class or if a video is not the one that was labelled. Raises
    ModelError if the held-out scores give no threshold or if the published protocol does not fit the model.
    """
    chosen = settings or Settings()
    watching = chosen.watch
    if chosen.post is Post.PUBLISHED:
        check_raw(model)  # before hours of footage are watched in vain
        watching = replace(watching, analysis_fps=0.0)
    scale = ModelScale(model, chosen.false_alarms_per_day, SmoothingSettings())
    watched: list[Watched] = []
    with report.steps(f"watching {counted(len(videos), 'video')}", len(videos)) as step:
        for video in videos:
            started = time.perf_counter()
            watched.append(found := watch(video, model, scale, watching, step))
            rate = len(found.index) / (time.perf_counter() - started)
            report.say(f"{found.name}: {counted(len(found.index), 'frame')}, {rate:.0f} per second")
            step()
    if not any(np.isfinite(found.fused).any() for found in watched):
        states = {state: sum(found.log.unscored.get(state, 0) for found in watched) for state in _states(watched)}
        why = ", ".join(f"{count} {state}" for state, count in states.items())
        raise UsageError(
            f"no detector could judge any frame{why and f' ({why})'}: give footage of the camera that the model has "
            "learned, at its size and rate"
        )
    judged = _published(watched, model) if chosen.post is Post.PUBLISHED else _causal(watched, model)
    hits, regions = Hits(), RegionDetection()
    not_scored: dict[str, int] = {}
    for found in watched:
        hits.merge(found.hits)
        regions.merge(found.regions)
        for state, frames in found.log.unscored.items():
            not_scored[state] = not_scored.get(state, 0) + frames
    events = None
    if chosen.post is Post.CAUSAL:
        alarms = [alarm for found in watched for alarm in found.alarms]
        events = compare([found.truth for found in watched], alarms, chosen.false_alarms_per_day)
        events = replace(events, supported_per_day=scale.supported_per_day, allowed_per_day=scale.allowed_per_day)
    evaluation = Evaluation(
        model=model.id,
        post=chosen.post.value,
        corruption=None if watching.corruption is None else str(watching.corruption),
        analysis_fps=watching.analysis_fps,
        videos=len(watched),
        mixed_videos=sum(mixed(found.abnormal) for found in watched),
        frames=sum(len(found.index) for found in watched),
        abnormal=int(sum(found.abnormal.sum() for found in watched)),
        analysed=sum(len(found.scores.index) for found in watched),
        unreadable=sum(len(found.log.unreadable) for found in watched),
        not_scored=not_scored,
        scores=metrics(judged[FUSED]),
        detectors={detector.name: metrics(judged[detector.name]) for detector in model.detectors},
        frame_difference=metrics(judged[DIFFERENCE]),
        events=events,
        hit_rates=hits.rates(),
        rbdc=regions.area(),
        ms=medians([found.log for found in watched]),
    )
    return Measured(evaluation, tuple(watched), judged)


def _states(watched: Sequence[Watched]) -> list[str]:
    """The states of frames that were not scored, in the order in which they came."""
    return list(dict.fromkeys(state for found in watched for state in found.log.unscored))


def _causal(watched: Sequence[Watched], model: Model) -> dict[str, list[Judged]]:
    """Scores as in a live run: each detector's causal median, and the fused score of the camera monitor."""
    found = {FUSED: [video.judged(video.fused) for video in watched]}
    for i, detector in enumerate(model.detectors):
        found[detector.name] = [video.judged(video.by_detector[i]) for video in watched]
    found[DIFFERENCE] = [
        v.judged(smoothed_difference(v.difference, v.scores.time_s, v.scores.segment, SmoothingSettings()))
        for v in watched
    ]
    return found


def _published(watched: Sequence[Watched], model: Model) -> dict[str, list[Judged]]:
    """The published offline post-processing of all videos together. A frame without a score gets the previous score."""

    def done(columns: Sequence[NDArray[np.float64]]) -> list[Judged]:
        scores = {video.name: _held(column) for video, column in zip(watched, columns, strict=True)}
        return [
            video.judged(score) for video, score in zip(watched, published_postprocess(scores).values(), strict=True)
        ]

    found = {FUSED: done([raw_fused(video.scores, model) for video in watched])}
    found[model.detectors[0].name] = found[FUSED]
    found[DIFFERENCE] = done([video.difference for video in watched])
    return found


def _held(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace NaN by the last number before it, at the start by the first number. Raises SourceError if all are NaN."""
    known = np.flatnonzero(~np.isnan(column))
    if not known.size:
        raise SourceError("a video has no frame that can be scored: remove it from the labels")
    return column[known[np.maximum(np.searchsorted(known, np.arange(len(column)), side="right") - 1, 0)]]


def overlap(videos: Sequence[LabelledVideo], data: Sequence[str]) -> list[str]:
    """Names of the videos that the model was trained on, according to its provenance."""
    trained = [real_path(Path(entry)) for entry in data]
    paths = {v.name: real_path(v.path) for v in videos}
    return [v.name for v in videos if any(t in (paths[v.name], *paths[v.name].parents) for t in trained)]
