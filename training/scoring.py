"""Scores of recorded footage by exactly the detectors that run live, and their live post-processing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.errors import ModelError
from monitor.judging.camera_monitor import HOLD_S
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.source import Source
from monitor.text.wording import counted
from monitor.types import Image
from training.evaluate.analysis import Account, Analysed, PictureCheck, analyse, nothing_readable
from training.progress import Report, Steps
from training.sampling import LIVE_PER_S as LIVE_PER_S
from training.sampling import sampled


@dataclass(frozen=True, eq=False)
class Scores:
    """Raw scores of one source's analysed frames, before smoothing. A high score is abnormal.

    index       (N,) int64, 0-based number of the frame in the source
    time_s      (N,) float64, media time in seconds
    segment     (N,) int32, grows at every gap, as live
    detectors   one (N,) float64 a detector, in the model's order
    difference  (N,) float64, mean absolute grey difference from the analysed frame before, grey levels; 0 after a gap
    unreadable  frames that could not be decoded and have no score
    """

    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    segment: NDArray[np.int32]
    detectors: tuple[NDArray[np.float64], ...]
    difference: NDArray[np.float64]
    unreadable: int = 0


class ScoreTable:
    """Collects what ``analyse`` gives, row by row, without its pictures."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, float, int, float, list[float]]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, analysed: Analysed) -> None:
        """Take the next frame."""
        frame, found = analysed.scored.frame, analysed.scored.detections
        self._rows.append((frame.index, frame.time_s, frame.segment, analysed.difference, [d.score for d in found]))

    def scores(self, unreadable: int = 0) -> Scores:
        """What was collected; at least one row."""
        index, time_s, segment, difference, raw = zip(*self._rows, strict=True)
        table = np.array(raw, np.float64).reshape(len(self), -1)
        return Scores(
            np.array(index, np.int64),
            np.array(time_s, np.float64),
            np.array(segment, np.int32),
            tuple(table[:, i] for i in range(table.shape[1])),
            np.array(difference, np.float64),
            unreadable,
        )


def score_source(
    source: Source,
    detectors: Sequence[Detector],
    *,
    per_s: float = 0.0,
    from_s: float = 0.0,
    limit: int | None = None,
    check: PictureCheck | None = None,
    after_frame: Callable[[], None] = lambda: None,
) -> Scores:
    """Score a recorded source's frames in order.

    per_s: frames a second, 0 for all; from_s: media time of the first, seconds; limit: frames at most; check: see
    ``analyse``. Raises SourceError when nothing of it can be read.
    """
    table, about = ScoreTable(), Account()
    for analysed in analyse(source, detectors, per_s=per_s, from_s=from_s, limit=limit, check=check, account=about):
        table.add(analysed)
        after_frame()
    if not len(table):
        raise nothing_readable(source)
    return table.scores(about.unreadable)


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
    with source.open() as reader:
        for sample in sampled(reader, per_s, from_s):
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
    """The live median of a score, which starts anew at every gap: (N,) float64.

    As live, it is held for a second where frames are not scored.
    """
    found = np.empty_like(raw)
    median = smoothing.smoother()
    known, known_s = math.nan, -math.inf
    for i, (time_s, value) in enumerate(zip(scores.time_s, raw, strict=True)):
        if i and scores.segment[i] != scores.segment[i - 1]:
            median.reset()
            known_s = -math.inf
        found[i] = median.update(float(time_s), float(value))
        if not math.isnan(found[i]):
            known, known_s = found[i], time_s
        elif time_s - known_s <= HOLD_S:
            found[i] = known
    return found
