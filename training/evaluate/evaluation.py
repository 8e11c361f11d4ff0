"""How well a model does on labelled footage, beside the mean frame difference on the same frames.

Everything is causal, as it runs live, unless the published protocol is asked for by name: no frame sees the future, no
score is scaled by the video or the test set.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import SourceError
from monitor.judging.fusion import ModelScale
from monitor.judging.published_postprocess import published_postprocess
from monitor.model.model_store import Model
from monitor.scores.smoothing import SmoothingSettings
from monitor.text.wording import counted
from training.evaluate.analysis import medians
from training.evaluate.events import EventFigures, compare
from training.evaluate.labels import LabelledVideo
from training.evaluate.localisation import HitRate, Hits
from training.evaluate.ranking import Judged, Metrics, metrics, mixed
from training.evaluate.watching import DIFFERENCE, FUSED, Watched, WatchSettings, watch
from training.output import Post
from training.progress import Report
from training.scoring import raw_fused, smoothed

__all__ = ["Evaluation", "Judged", "Measured", "Metrics", "Settings", "WatchSettings", "evaluate", "metrics", "overlap"]


@dataclass(frozen=True)
class Settings:
    """How a model is measured.

    post                  ``causal`` as it runs live, or ``published``: every frame, offline post-processing, no events
    false_alarms_per_day  budget that the threshold is worked out for
    watch                 rate of analysis, faults, frames to keep for pictures
    """

    post: Post = Post.CAUSAL
    false_alarms_per_day: float = 1.0
    watch: WatchSettings = field(default_factory=WatchSettings)


@dataclass(frozen=True)
class Evaluation:
    """A model's figures and, on the same frames, those of the mean absolute frame difference.

    analysed      frames that were analysed; each score holds until the next
    not_scored    state of health -> analysed frames that were not worth scoring for it
    analysis_fps  frames analysed a second, 0 for all
    scores        of the fused score
    detectors     name -> of each detector by itself
    events        at the threshold; None with the published protocol, which has none
    hit_rates     ``fused``, each detector and ``frame difference`` -> share of map peaks inside the masks
    ms            stage (decode, health, each detector) -> median milliseconds an analysed frame
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
    ms: dict[str, float]

    @property
    def ms_per_frame(self) -> float:
        """Median milliseconds an analysed frame, all stages together."""
        return sum(self.ms.values())


@dataclass(frozen=True, eq=False)
class Measured:
    """An evaluation with what its pictures are made of.

    watched  the videos
    judged   ``fused``, each detector and ``frame difference`` -> labels and scores of every frame, video by video
    """

    evaluation: Evaluation
    watched: tuple[Watched, ...]
    judged: dict[str, list[Judged]]


def evaluate(
    videos: Sequence[LabelledVideo], model: Model, report: Report, settings: Settings | None = None
) -> Measured:
    """Watch the videos, each as a camera of its own, and compare with their labels.

    Raises UsageError where all frames are of one class or a video is not the one that was labelled, ModelError where
    the held-out scores give no threshold, or the published protocol does not suit the model.
    """
    chosen = settings or Settings()
    watching = chosen.watch
    if chosen.post is Post.PUBLISHED:
        watching = WatchSettings(0.0, watching.corruption, watching.snapshots)
    scale = ModelScale(model, chosen.false_alarms_per_day, SmoothingSettings())
    watched: list[Watched] = []
    with report.steps(f"watching {counted(len(videos), 'video')}", len(videos)) as step:
        for video in videos:
            started = time.perf_counter()
            watched.append(found := watch(video, model, scale, watching, step))
            rate = len(found.index) / (time.perf_counter() - started)
            report.say(f"{found.name}: {counted(len(found.index), 'frame')}, {rate:.0f} a second")
            step()
    judged = _published(watched, model) if chosen.post is Post.PUBLISHED else _causal(watched, model)
    hits = Hits()
    not_scored: dict[str, int] = {}
    for found in watched:
        hits.merge(found.hits)
        for state, frames in found.account.unscored.items():
            not_scored[state] = not_scored.get(state, 0) + frames
    events = None
    if chosen.post is Post.CAUSAL:
        alarms = [alarm for found in watched for alarm in found.alarms]
        events = compare([found.truth for found in watched], alarms, chosen.false_alarms_per_day)
        events = replace(events, supported_per_day=scale.supported_per_day)
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
        unreadable=sum(found.account.unreadable for found in watched),
        not_scored=not_scored,
        scores=metrics(judged[FUSED]),
        detectors={detector.name: metrics(judged[detector.name]) for detector in model.detectors},
        frame_difference=metrics(judged[DIFFERENCE]),
        events=events,
        hit_rates=hits.rates(),
        ms=medians([found.account for found in watched]),
    )
    return Measured(evaluation, tuple(watched), judged)


def _causal(watched: Sequence[Watched], model: Model) -> dict[str, list[Judged]]:
    """Scores as live: each detector's causal median by itself, and the camera monitor's fused score."""
    smoothing = SmoothingSettings()
    found = {FUSED: [video.judged(video.fused) for video in watched]}
    for i, detector in enumerate(model.detectors):
        found[detector.name] = [v.judged(smoothed(v.scores.detectors[i], v.scores, smoothing)) for v in watched]
    found[DIFFERENCE] = [v.judged(smoothed(v.scores.difference, v.scores, smoothing)) for v in watched]
    return found


def _published(watched: Sequence[Watched], model: Model) -> dict[str, list[Judged]]:
    """The published offline post-processing of all videos together; a frame that is not scored takes the one before."""

    def done(columns: Sequence[NDArray[np.float64]]) -> list[Judged]:
        scores = {video.name: _held(column) for video, column in zip(watched, columns, strict=True)}
        return [
            video.judged(score) for video, score in zip(watched, published_postprocess(scores).values(), strict=True)
        ]

    found = {FUSED: done([raw_fused(video.scores, model) for video in watched])}
    found[model.detectors[0].name] = found[FUSED]
    found[DIFFERENCE] = done([video.scores.difference for video in watched])
    return found


def _held(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN replaced by the last number before it, at the start by the first one. Raises SourceError without any."""
    known = np.flatnonzero(~np.isnan(column))
    if not known.size:
        raise SourceError("a video has no frame that is worth scoring: take it out of the labels")
    return column[known[np.maximum(np.searchsorted(known, np.arange(len(column)), side="right") - 1, 0)]]


def overlap(videos: Sequence[LabelledVideo], data: Sequence[str]) -> list[str]:
    """Names of the videos that the model was trained on, as far as its provenance says."""
    trained = [Path(entry).resolve() for entry in data]
    return [v.name for v in videos if any(t == v.path.resolve() or t in v.path.resolve().parents for t in trained)]
