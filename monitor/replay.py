"""Runs recorded footage through the same chain as a live camera: FrameRules, then Scorer, then CameraMonitor.

    for judgement in replay(source, model, monitor):
        ...

Learning, evaluation, submissions, what-if and benchmarks call this module, so that no rule around the detectors is
written twice. Everything runs in the caller's thread, frame by frame, in bounded memory.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.judging.scorer import Bare, Scorer, Watcher
from monitor.model.model_store import Model
from monitor.sources.source import Position, Reader, Source
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.stream.health.health_settings import HealthSettings
from monitor.types import Frame, Image, ScoredFrame

LIVE_FPS = 10.0
"""Default number of frames analysed per second of a live camera."""
AS_LIVE = RuleSettings(analysis_fps=LIVE_FPS, health=HealthSettings())
"""The rules of a live camera with default settings."""
_BATCH = 8
_TIMINGS = 20_000  # the last frames are enough for a median, even of a whole day


@dataclass(eq=False)
class ReplayLog:
    """Counts of a replay, updated while it runs.

    keep_positions  True to fill ``positions``
    unreadable      names of frames that could not be decoded
    unscored        health state -> number of frames that were not scored because of it
    positions       every frame, analysed or not
    """

    keep_positions: bool = False
    unreadable: list[str] = field(default_factory=list)
    unscored: dict[str, int] = field(default_factory=dict)
    positions: list[Position] = field(default_factory=list)
    _ms: dict[str, deque[float]] = field(default_factory=dict)

    def took(self, stage: str, seconds: float) -> None:
        """Add the time that a stage took for one analysed frame, seconds."""
        self._ms.setdefault(stage, deque(maxlen=_TIMINGS)).append(seconds * 1000)

    def timings(self) -> dict[str, list[float]]:
        """Stage (decode, health, each detector) -> milliseconds per frame, in the order of the stages."""
        return {stage: list(values) for stage, values in self._ms.items()}


def medians(logs: Sequence[ReplayLog]) -> dict[str, float]:
    """Stage -> median milliseconds per frame over all logs."""
    stages: dict[str, list[float]] = {}
    for log in logs:
        for stage, values in log.timings().items():
            stages.setdefault(stage, []).extend(values)
    return {stage: median(values) for stage, values in stages.items()}


def frames(
    source: Source,
    rules: FrameRules,
    *,
    from_s: float = 0.0,
    to_s: float = math.inf,
    limit: int | None = None,
    wanted: Callable[[float], bool] | None = None,
    log: ReplayLog | None = None,
) -> Iterator[Frame]:
    """The frames of a source that a live run would analyse, in order, with their segment and health.

    from_s  earliest media time of a frame, seconds
    to_s    latest media time of a frame, seconds
    limit   maximum number of frames; None for no limit
    wanted  called with the media time of each frame, seconds; a frame that is not wanted is never decoded
    log     counts the frames that are left out, and the time of each stage

    Raises the errors of the source's reader: SourceError, CaptureError.
    """
    log = log or ReplayLog()
    given = 0
    with source.open() as opened:
        reader = _Noting(opened, log.positions) if log.keep_positions else opened
        while limit is None or given < limit:
            started = time.perf_counter()
            position = reader.skip_to(max(rules.due_s, from_s))
            if position is None or position.time_s > to_s:
                return
            time_s = position.time_s
            earlier_s = [each for each in position.earlier_s if each >= from_s]
            if time_s < from_s or not rules.arrive(time_s, reader.fps, earlier_s):
                continue
            if wanted is not None and not wanted(time_s):
                rules.pass_over(time_s)
                continue
            image = reader.retrieve()
            decoded = time.perf_counter()
            log.took("decode", decoded - started)
            if image is None:
                log.unreadable.append(reader.frame_name or f"frame {position.index}")
                continue
            taken = rules.take(time_s, image, rules.settings.moment(time_s))
            log.took("health", time.perf_counter() - decoded)
            if not taken.health.scored:
                log.unscored[taken.health.state.value] = log.unscored.get(taken.health.state.value, 0) + 1
            given += 1
            yield Frame(
                source.name,
                position.index,
                time_s,
                taken.image,
                taken.segment,
                health=taken.health,
                media_s=time_s,
                places=taken.places,
                armed=taken.armed,
            )


def scored(stream: Iterable[Frame], watcher: Watcher, log: ReplayLog | None = None) -> Iterator[ScoredFrame]:
    """Frames of one camera, in order, with the raw detections of its model or of detectors without a model."""
    scorer: Scorer | None = None
    for batch in _batches(stream):
        scorer = scorer or Scorer({batch[0].camera: watcher}, timed=None if log is None else log.took)
        yield from scorer.score(batch)


def judged(stream: Iterable[ScoredFrame], monitor: CameraMonitor) -> Iterator[Judgement]:
    """The judgements of one camera's scored frames, in order. ``monitor.close`` ends an event that is still open."""
    for each in stream:
        yield monitor.update(each)


def replay(
    source: Source,
    model: Model,
    monitor: CameraMonitor,
    settings: RuleSettings = AS_LIVE,
    log: ReplayLog | None = None,
) -> Iterator[Judgement]:
    """The judgements that the live monitor would make of a recorded source, see ``frames`` and ``judged``."""
    rules = FrameRules(settings, model.viewpoint, model.learned_size)
    return judged(scored(frames(source, rules, log=log), model, log), monitor)


def score_frames(stream: Iterable[Frame], detector: Detector) -> NDArray[np.float64]:
    """A detector's raw scores of frames of one camera: (n,) float64, NaN for a frame that it cannot judge."""
    return np.array([each.detections[0].score for each in scored(stream, Bare((detector,)))], np.float64)


def _batches(stream: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Batches of frames, because scoring them together is faster. The scores are the same for any batch size."""
    batch: list[Frame] = []
    for frame in stream:
        batch.append(frame)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class _Noting(Reader):
    """Records the position of every frame of a reader, including skipped frames."""

    def __init__(self, reader: Reader, positions: list[Position]) -> None:
        self.fps = reader.fps
        self._reader = reader
        self._positions = positions

    def grab(self) -> Position | None:
        position = self._reader.grab()
        if position is not None:
            self._positions.append(position)
            self.fps = self._reader.fps
            self.frame_name = self._reader.frame_name
        return position

    def retrieve(self) -> Image | None:
        return self._reader.retrieve()
