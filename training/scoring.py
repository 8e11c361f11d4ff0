"""Scores of recorded footage by exactly the detectors that run live, and their live post-processing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.calibration import HeldOut
from monitor.detector.base import Detector, Observation
from monitor.errors import ModelError, SourceError
from monitor.fusion import ModelScale
from monitor.model_store import Model
from monitor.smoothing import SmoothingSettings
from monitor.sources.base import Source
from monitor.types import Frame, Image
from training.output import counted
from training.progress import Report, Steps
from training.sampling import LIVE_PER_S as LIVE_PER_S
from training.sampling import Sample, sampled

_BATCH = 8


@dataclass(frozen=True, eq=False)
class Scores:
    """Raw scores of one source's frames, before smoothing. A high score is abnormal.

    index       (N,) int64, 0-based number of the frame in the source
    time_s      (N,) float64, media time in seconds
    segment     (N,) int32, grows at every gap, as live
    detectors   one (N,) float64 a detector, in the model's order
    difference  (N,) float64, mean absolute grey difference from the frame before, grey levels; 0 after a gap
    unreadable  frames that could not be decoded and have no score
    """

    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    segment: NDArray[np.int32]
    detectors: tuple[NDArray[np.float64], ...]
    difference: NDArray[np.float64]
    unreadable: int = 0


def score_source(
    source: Source,
    detectors: Sequence[Detector],
    *,
    per_s: float = 0.0,
    from_s: float = 0.0,
    limit: int | None = None,
    after_frame: Callable[[], None] = lambda: None,
) -> Scores:
    """Score a recorded source's frames in order.

    per_s: frames a second, 0 for all; from_s: media time of the first, seconds; limit: frames at most.
    Raises SourceError when nothing of it can be read.
    """
    index: list[int] = []
    times: list[float] = []
    segments: list[int] = []
    rows: list[list[float]] = []
    differences: list[float] = []
    streams = [detector.new_stream() for detector in detectors]
    before: NDArray[Any] | None = None
    unreadable = 0
    waiting: list[Frame] = []

    def flush() -> None:
        if waiting:
            found = [
                detector.score([Observation(frame, stream) for frame in waiting])
                for detector, stream in zip(detectors, streams, strict=True)
            ]
            rows.extend([d.score for d in detections] for detections in zip(*found, strict=True))
            waiting.clear()

    for sample in _samples(source, per_s, from_s):
        image = sample.image
        if image is None:
            unreadable += 1
            continue
        if segments and sample.segment != segments[-1]:
            flush()
            before, streams = None, [detector.new_stream() for detector in detectors]
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        differences.append(0.0 if before is None else float(cv2.absdiff(grey, before).mean()))
        before = grey
        position = sample.position
        index.append(position.index)
        times.append(position.time_s)
        segments.append(sample.segment)
        waiting.append(Frame(source.name, position.index, position.time_s, image, sample.segment))
        if len(waiting) == _BATCH:
            flush()
        after_frame()
        if limit is not None and len(index) >= limit:
            break
    flush()
    if not index:
        raise SourceError(f"{source.label} holds no readable frame: take it out or give another path")
    table = np.array(rows, np.float64).reshape(len(index), len(detectors))
    return Scores(
        np.array(index, np.int64),
        np.array(times, np.float64),
        np.array(segments, np.int32),
        tuple(table[:, i] for i in range(len(detectors))),
        np.array(differences, np.float64),
        unreadable,
    )


def score_video(source: Source, detectors: Sequence[Detector], step: Steps, report: Report) -> Scores:
    """Score every frame of one video of several, and say how many there were and how fast it went."""
    started = time.perf_counter()
    scores = score_source(source, detectors, after_frame=step.frame)
    rate = len(scores.index) / (time.perf_counter() - started)
    report.say(f"{source.label}: {counted(len(scores.index), 'frame')}, {rate:.0f} a second")
    step()
    return scores


def pictures(source: Source, *, per_s: float, from_s: float, limit: int) -> Iterator[Image]:
    """The readable pictures that ``score_source`` would score."""
    given = 0
    for sample in _samples(source, per_s, from_s):
        if sample.image is not None:
            yield sample.image
            given += 1
            if given >= limit:
                return


def held_out_scores(parts: Sequence[Scores], detectors: Sequence[Detector]) -> HeldOut:
    """What a model folder keeps of the scores of held-out normal clips."""
    clips = [np.full(len(part.time_s), number, np.int32) for number, part in enumerate(parts)]
    return HeldOut(
        time_s=np.concatenate([part.time_s for part in parts]),
        clip=np.concatenate(clips),
        scores={d.name: np.concatenate([part.detectors[i] for part in parts]) for i, d in enumerate(detectors)},
    )


def causal(scores: Scores, scale: ModelScale, smoothing: SmoothingSettings) -> NDArray[np.float64]:
    """Scores as they run live: causal medians, fused; 0 = typical normal, 1 = the threshold.

    (N,) float64; NaN while no detector can judge.
    """
    columns = [smoothed(raw, scores, smoothing).tolist() for raw in scores.detectors]
    return np.array([scale.fuse(row).score for row in zip(*columns, strict=True)])


def raw_fused(scores: Scores, model: Model) -> NDArray[np.float64]:
    """One raw score a frame for post-processing that brings its own scale: (N,) float64.

    Raw scores of several detectors have units of their own, so only a model with one has such a score.
    Raises ModelError otherwise.
    """
    if len(scores.detectors) != 1:
        names = ", ".join(detector.name for detector in model.detectors)
        raise ModelError(f"the published post-processing takes a model with one detector, not {names}: use causal")
    return scores.detectors[0]


def smoothed(raw: NDArray[np.float64], scores: Scores, smoothing: SmoothingSettings) -> NDArray[np.float64]:
    """The live median of a score, which starts anew at every gap: (N,) float64."""
    found = np.empty_like(raw)
    median = smoothing.smoother()
    for i, (time_s, value) in enumerate(zip(scores.time_s, raw, strict=True)):
        if i and scores.segment[i] != scores.segment[i - 1]:
            median.reset()
        found[i] = median.update(float(time_s), float(value))
    return found


def _samples(source: Source, per_s: float, from_s: float) -> Iterator[Sample]:
    with source.open() as reader:
        yield from sampled(reader, per_s, from_s)
