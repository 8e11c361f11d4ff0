"""How well a model tells abnormal frames from normal ones, beside the mean frame difference on the same frames."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from monitor.errors import UsageError
from monitor.fusion import ModelScale
from monitor.model_store import Model
from monitor.postprocess import published_postprocess
from monitor.smoothing import SmoothingSettings
from training.data import recorded_sources
from training.labels import LabelledVideo
from training.output import Post, counted, write_whole
from training.progress import Report
from training.scoring import Scores, causal, raw_fused, score_video, smoothed


@dataclass(frozen=True, eq=False)
class Judged:
    """A video's labels and scores, frame by frame: (N,) each."""

    name: str
    abnormal: NDArray[np.bool_]
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """micro: over all frames; macro: mean over the videos that hold both classes. NaN where a class is missing.

    chance is the average precision of random scores: the part of the frames that is abnormal.
    """

    auc_micro: float
    auc_macro: float
    ap_micro: float
    ap_macro: float
    chance: float
    chance_macro: float


@dataclass(frozen=True)
class Evaluation:
    """A model's figures and, on the same frames, those of the mean absolute frame difference."""

    model: str
    post: str
    videos: int
    mixed_videos: int
    frames: int
    abnormal: int
    ms_per_frame: float
    scores: Metrics
    frame_difference: Metrics

    def text(self) -> str:
        """A table for people."""
        rows = [f"{'':16}   AUC micro  macro     AP micro (chance)  macro (chance)"]
        for title, m in (("model", self.scores), ("frame difference", self.frame_difference)):
            rows.append(
                f"{title:16}   {m.auc_micro:9.3f}  {m.auc_macro:5.3f}     "
                f"{m.ap_micro:8.3f} ({m.chance:.3f})   {m.ap_macro:5.3f} ({m.chance_macro:.3f})"
            )
        return "\n".join(
            [
                f"{self.model}: {counted(self.frames, 'frame')} of {counted(self.videos, 'video')} "
                f"({self.mixed_videos} with both classes), {self.abnormal} abnormal; {self.post} post-processing",
                *rows,
                f"{self.ms_per_frame:.1f} ms a frame, decoding included",
            ]
        )


def evaluate(videos: Sequence[LabelledVideo], model: Model, post: Post, report: Report) -> Evaluation:
    """Score every frame of the videos and compare with their labels.

    Raises UsageError where all frames are of one class or a video is not the one that was labelled.
    """
    found: list[Scores] = []
    started = time.perf_counter()
    with report.steps(f"scoring {counted(len(videos), 'video')}", len(videos)) as step:
        for video in videos:
            source = recorded_sources([str(video.path)], split="testing_videos")[0]
            scores = score_video(source, model.detectors, step, report)
            if scores.index[-1] >= len(video.abnormal):
                raise UsageError(
                    f"{video.name} has {scores.index[-1] + 1} frames, its labels {len(video.abnormal)}: "
                    "correct the labels or the file"
                )
            found.append(scores)
    frames = sum(len(scores.index) for scores in found)
    ms_per_frame = (time.perf_counter() - started) * 1000 / frames
    abnormal = [video.abnormal[scores.index] for video, scores in zip(videos, found, strict=True)]
    names = [video.name for video in videos]
    judged = [Judged(*row) for row in zip(names, abnormal, _post(found, names, model, post), strict=True)]
    bar = [Judged(*row) for row in zip(names, abnormal, _post_difference(found, names, post), strict=True)]
    return Evaluation(
        model=model.id,
        post=post.value,
        videos=len(videos),
        mixed_videos=sum(_mixed(j.abnormal) for j in judged),
        frames=frames,
        abnormal=int(sum(a.sum() for a in abnormal)),
        ms_per_frame=ms_per_frame,
        scores=metrics(judged),
        frame_difference=metrics(bar),
    )


def metrics(videos: Sequence[Judged]) -> Metrics:
    """AUC and average precision; a frame without a score (NaN) counts as the least abnormal.

    Raises UsageError where all frames are of one class.
    """
    abnormal = np.concatenate([v.abnormal for v in videos])
    if not _mixed(abnormal):
        kind = "abnormal" if abnormal.any() else "normal"
        raise UsageError(f"all labelled frames are {kind}: choose a --subset with normal and abnormal frames")
    known = np.concatenate([v.score[~np.isnan(v.score)] for v in videos])
    lowest = float(known.min()) - 1 if known.size else 0.0
    filled = [np.where(np.isnan(v.score), lowest, v.score) for v in videos]
    score = np.concatenate(filled)
    mixed = [(v.abnormal, s) for v, s in zip(videos, filled, strict=True) if _mixed(v.abnormal)]
    return Metrics(
        auc_micro=float(roc_auc_score(abnormal, score)),
        auc_macro=_mean([float(roc_auc_score(a, s)) for a, s in mixed]),
        ap_micro=float(average_precision_score(abnormal, score)),
        ap_macro=_mean([float(average_precision_score(a, s)) for a, s in mixed]),
        chance=float(abnormal.mean()),
        chance_macro=_mean([float(a.mean()) for a, _ in mixed]),
    )


def _post(found: Sequence[Scores], names: Sequence[str], model: Model, post: Post) -> list[NDArray[np.float64]]:
    if post is Post.PUBLISHED:
        return list(published_postprocess({n: raw_fused(s, model) for n, s in zip(names, found, strict=True)}).values())
    smoothing = SmoothingSettings()
    # The budget sets the threshold, which is the unit of the score: it changes no order among frames of one detector.
    scale = ModelScale(model, 1.0, smoothing)
    return [causal(scores, scale, smoothing) for scores in found]


def _post_difference(found: Sequence[Scores], names: Sequence[str], post: Post) -> list[NDArray[np.float64]]:
    if post is Post.PUBLISHED:
        return list(published_postprocess({n: s.difference for n, s in zip(names, found, strict=True)}).values())
    return [smoothed(scores.difference, scores, SmoothingSettings()) for scores in found]


def _mixed(abnormal: NDArray[np.bool_]) -> bool:
    return bool(abnormal.any() and not abnormal.all())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def overlap(videos: Sequence[LabelledVideo], data: Sequence[str]) -> list[str]:
    """Names of the videos that the model was trained on, as far as its provenance says."""
    trained = [Path(entry).resolve() for entry in data]
    return [v.name for v in videos if any(t == v.path.resolve() or t in v.path.resolve().parents for t in trained)]


def write_json(found: Evaluation, path: Path) -> None:
    """Write the figures as JSON, NaN as null. Raises RunError."""
    write_whole(path, json.dumps(_without_nan(asdict(found)), indent=2) + "\n")


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
