"""Recorded footage through exactly the detectors that run live, frame by frame, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector, Observation
from monitor.errors import SourceError
from monitor.model.model_store import Model
from monitor.sources.source import Position, Reader, Source
from monitor.states import PAUSED
from monitor.stream.health.health_check import HealthCheck
from monitor.types import Detection, Frame, Health, Image, ScoredFrame
from training.sampling import sampled

_BATCH = 8
_TIMINGS = 20_000  # of a day's frames the last of these are enough for a median


class PictureCheck(Protocol):
    """What looks at a camera's pictures before the detectors do, in order of time."""

    def update(self, time_s: float, image: Image) -> tuple[Health, Image]:
        """Whether the picture is worth scoring, and the picture that the detectors see: (H, W, 3) uint8 BGR."""

    def reset(self) -> None:
        """What follows has nothing to do with what came before: a gap."""


def live_check(model: Model) -> PictureCheck:
    """A new check of pictures, as the live monitor has one for a camera that this model watches."""
    return HealthCheck(viewpoint=model.viewpoint)


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """A frame with what the detectors say of it.

    scored      NaN scores where the frame is not worth scoring (``scored.frame.health``)
    difference  mean absolute grey difference from the analysed frame before, grey levels; 0 after a gap
    change      (H, W) uint8, that difference at each pixel; None after a gap
    """

    scored: ScoredFrame
    difference: float
    change: Image | None


@dataclass(eq=False)
class Account:
    """What ``analyse`` did, filled in as it goes.

    unreadable  frames that could not be decoded
    unscored    state of health -> frames that were not worth scoring for it
    positions   every frame there was, analysed or not, where asked for
    """

    keep_positions: bool = False
    unreadable: int = 0
    unscored: dict[str, int] = field(default_factory=dict)
    positions: list[Position] = field(default_factory=list)
    _ms: dict[str, deque[float]] = field(default_factory=dict)

    def took(self, stage: str, seconds: float) -> None:
        """A stage took so long for one analysed frame."""
        self._ms.setdefault(stage, deque(maxlen=_TIMINGS)).append(seconds * 1000)

    def timings(self) -> dict[str, list[float]]:
        """Stage -> milliseconds a frame, in the order in which the stages come."""
        return {stage: list(values) for stage, values in self._ms.items()}


def medians(accounts: Sequence[Account]) -> dict[str, float]:
    """Stage -> median milliseconds a frame over all accounts."""
    stages: dict[str, list[float]] = {}
    for account in accounts:
        for stage, values in account.timings().items():
            stages.setdefault(stage, []).extend(values)
    return {stage: median(values) for stage, values in stages.items()}


def analyse(
    source: Source,
    detectors: Sequence[Detector],
    *,
    per_s: float = 0.0,
    from_s: float = 0.0,
    limit: int | None = None,
    check: PictureCheck | None = None,
    account: Account | None = None,
) -> Iterator[Analysed]:
    """The frames of a recorded source that are analysed live, in order, scored.

    per_s    frames a second, 0 for all
    from_s   media time of the first, seconds
    limit    frames at most
    check    looks at each picture first, may change it and may keep it from the detectors; None: all as they are
    account  where to keep what there is to tell besides; at most 8 frames are in memory
    """
    about = account or Account()
    pending = _Pending(detectors, about)
    given, segment, of_source, paused = 0, -1, None, False
    before: NDArray[Any] | None = None
    with source.open() as reader:
        samples = sampled(_Noting(reader, about) if about.keep_positions else reader, per_s, from_s)
        while limit is None or given < limit:
            started = time.perf_counter()
            sample = next(samples, None)
            if sample is None:
                break
            about.took("decode", time.perf_counter() - started)
            if sample.image is None:
                about.unreadable += 1
                continue
            gap = sample.segment != of_source
            of_source, at = sample.segment, sample.position
            if gap and check is not None:
                check.reset()
            image, health = sample.image, Health()
            if check is not None:
                started = time.perf_counter()
                health, image = check.update(at.time_s, image)
                about.took("health", time.perf_counter() - started)
            resumes = paused and health.scored  # as live
            paused = health.state in PAUSED or (paused and not resumes and not gap)
            if gap or resumes:
                yield from pending.flush()
                pending.new_streams()
                segment, before = segment + 1, None
            if not health.scored:
                about.unscored[health.state.value] = about.unscored.get(health.state.value, 0) + 1
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            change = None if before is None else np.asarray(cv2.absdiff(grey, before), np.uint8)
            before = grey
            pending.add(Frame(source.name, at.index, at.time_s, image, segment, health=health), change)
            given += 1
            if pending.full:
                yield from pending.flush()
        yield from pending.flush()


def nothing_readable(source: Source) -> SourceError:
    """The error for a source that gave no frame."""
    return SourceError(f"{source.label} holds no readable frame: take it out or give another path")


class _Pending:
    """Frames that wait to be scored together, which is faster, and the detectors' streams."""

    def __init__(self, detectors: Sequence[Detector], account: Account) -> None:
        self._detectors = detectors
        self._account = account
        self._frames: list[tuple[Frame, Image | None]] = []
        self.new_streams()

    def new_streams(self) -> None:
        self._streams = [detector.new_stream() for detector in self._detectors]

    def add(self, frame: Frame, change: Image | None) -> None:
        self._frames.append((frame, change))

    @property
    def full(self) -> bool:
        return len(self._frames) >= _BATCH

    def flush(self) -> Iterator[Analysed]:
        batch, self._frames = self._frames, []
        good = [frame for frame, _ in batch if frame.health.scored]
        columns = []
        for detector, stream in zip(self._detectors, self._streams, strict=True):
            started = time.perf_counter()
            columns.append(iter(detector.score([Observation(frame, stream) for frame in good]) if good else []))
            if good:
                self._account.took(detector.name, (time.perf_counter() - started) / len(good))
        now = time.monotonic()
        for frame, change in batch:
            found = tuple(next(column) if frame.health.scored else Detection(math.nan) for column in columns)
            difference = 0.0 if change is None else float(change.mean())
            yield Analysed(ScoredFrame(frame, found, now), difference, change)


class _Noting(Reader):
    """Writes down every frame of a reader, those that are skipped too."""

    def __init__(self, reader: Reader, account: Account) -> None:
        self.fps = reader.fps
        self._reader = reader
        self._account = account

    def grab(self) -> Position | None:
        position = self._reader.grab()
        if position is not None:
            self._account.positions.append(position)
            self.frame_name = self._reader.frame_name
        return position

    def retrieve(self) -> Image | None:
        return self._reader.retrieve()
