"""Watches a labelled video as the live monitor does: scores, alarms, peaks of the maps, and frames to show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model
from monitor.replay import AS_LIVE, LIVE_FPS, ReplayLog, replay
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.opencv import FALLBACK_FPS
from monitor.sources.source import Source
from monitor.types import Detection, FloatArray, Image, ScoredFrame
from training.evaluate.corrupt import CorruptedSource, Corruption
from training.evaluate.events import Alarm, AlarmLog, Truth
from training.evaluate.frame_difference import FrameDifference
from training.evaluate.labels import LabelledVideo
from training.evaluate.localisation import Hits, change_map, dilated
from training.evaluate.ranking import Judged
from training.evaluate.region_detection import RegionDetection
from training.progress import Steps
from training.recordings import nothing_readable, recorded_sources
from training.score_table import Scores, ScoreTable

FUSED, DIFFERENCE = "fused", "frame difference"
"""Names of the scores that are measured in addition to the detectors."""
_SHOWN_WIDTH = 320
_PEAK_APART_S = 3.0  # frames closer together look alike


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A frame at which the score had a peak.

    image  (h, w, 3) uint8 BGR, at most 320 px wide
    maps   detector -> anomaly map, without detectors that gave none
    mask   (H, W) bool, True where something is abnormal; None if no pixel is labelled abnormal
    """

    video: str
    index: int
    time_s: float
    score: float
    abnormal: bool
    image: Image
    maps: Mapping[str, FloatArray]
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class Watched:
    """The results for one labelled video of N frames, of which M were analysed.

    index      (N,) int64, 0-based numbers of the frames that exist
    time_s     (N,) float64, their media times, seconds
    abnormal   (N,) bool, their labels
    scores     raw scores of the analysed frames
    fused      (M,) float64, smoothed and fused, 1 = the threshold; NaN while no detector can judge
    by_detector  one (M,) float64 per detector, smoothed as in a live run, raw units; NaN while it cannot judge
    difference  (M,) float64, mean frame difference, grey levels; 0 at the start of a segment
    alarms     alarms of the live alert rule
    hits       number of map peaks inside masks
    regions    regions of the fused map beside those of the masks; without any if there are no masks
    snapshots  highest peaks of the score, in order of time
    log        counts of frames, and timings
    """

    name: str
    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    abnormal: NDArray[np.bool_]
    scores: Scores
    fused: NDArray[np.float64]
    by_detector: tuple[NDArray[np.float64], ...]
    difference: NDArray[np.float64]
    alarms: tuple[Alarm, ...]
    hits: Hits
    regions: RegionDetection
    snapshots: tuple[Snapshot, ...]
    log: ReplayLog

    @property
    def truth(self) -> Truth:
        """The abnormal intervals of the video."""
        return Truth.of_frames(self.name, self.abnormal, self.time_s)

    def judged(self, score: NDArray[np.float64]) -> Judged:
        """Labels and scores of all frames, from the scores (M,) of the analysed frames.

        Each score is valid until the next one. So every frame gets the score that the live monitor shows at that time.
        """
        at = np.searchsorted(self.scores.index, self.index, side="right") - 1
        return Judged(self.name, self.abnormal, np.where(at >= 0, score[np.maximum(at, 0)], math.nan))


@dataclass(frozen=True)
class WatchSettings:
    """How videos are watched.

    analysis_fps  frames analysed per second; 0: every frame
    corruption    faults that are added to the frames before the analysis
    snapshots     maximum number of score peaks to keep per video and per label (abnormal, normal)
    fps           frames per second of folders of images
    """

    analysis_fps: float = LIVE_FPS
    corruption: Corruption | None = None
    snapshots: int = 0
    fps: float = FALLBACK_FPS


def watch(
    video: LabelledVideo,
    model: Model,
    scale: ModelScale,
    settings: WatchSettings,
    step: Steps,
) -> Watched:
    """Watch a video from its start, as a separate camera.

    Raises SourceError if the video cannot be read, UsageError if the labels belong to another video.
    """
    source: Source = recorded_sources([str(video.path)], split="testing_videos", fps=settings.fps)[0]
    if settings.corruption is not None:
        source = CorruptedSource(source, settings.corruption, video.name)
    smoothing = SmoothingSettings()
    monitor = CameraMonitor(source.name, scale, smoothing, AlertSettings())
    names = [detector.name for detector in model.detectors]
    replayed, table, alarms = ReplayLog(keep_positions=True), ScoreTable(), AlarmLog(video.name)
    fused: list[float] = []
    by_detector: list[tuple[float, ...]] = []
    differences: list[float] = []
    frame_difference = FrameDifference()
    nothing = tuple(Detection(math.nan) for _ in names)
    found = nothing
    regions = RegionDetection()
    hits, peaks, masks = Hits(), _Peaks(video.name, settings.snapshots), video.masks()
    rules = replace(AS_LIVE, analysis_fps=settings.analysis_fps)
    for judgement in replay(source, model, monitor, rules, replayed):
        scored = judgement.scored
        index, time_s = scored.frame.index, scored.frame.time_s
        alarms.take(judgement.alerts, time_s)
        if index >= len(video.abnormal):
            continue  # check_frames reports it when the number of all frames is known
        difference, change = frame_difference.update(scored.frame)
        table.add(scored)
        fused.append(judgement.score)
        by_detector.append(judgement.by_detector)
        differences.append(difference)
        if scored.frame.health.scored:
            found = scored.detections
        elif math.isnan(judgement.score):
            found = nothing  # otherwise the maps are valid as long as their score
        fused_map = None if judgement.loudest is None else scale.anomaly_map(found, judgement.loudest)
        if masks is not None:
            regions.add(_in_thresholds(fused_map, scale, judgement.loudest), masks[index])
        mask = None if masks is None or not masks[index].any() else masks[index]
        if mask is not None:
            near = dilated(mask)
            hits.add(FUSED, fused_map, near)
            for name, detection in zip(names, found, strict=True):
                hits.add(name, detection.anomaly_map, near)
            hits.add(DIFFERENCE, None if change is None else change_map(change), near)
        peaks.take(scored, names, judgement.score, bool(video.abnormal[index]), mask)
        step.frame()
    alarms.take(monitor.close(), math.nan)
    if not len(table):
        raise nothing_readable(source)
    video.check_frames(replayed.positions[-1].index + 1)
    index_of = np.array([position.index for position in replayed.positions], np.int64)
    return Watched(
        video.name,
        index_of,
        np.array([position.time_s for position in replayed.positions], np.float64),
        video.abnormal[index_of],
        table.scores(),
        np.array(fused, np.float64),
        tuple(np.array(column, np.float64) for column in zip(*by_detector, strict=True)),
        np.array(differences, np.float64),
        tuple(alarms.alarms),
        hits,
        regions,
        tuple(peaks.found),
        replayed,
    )


def _in_thresholds(fused_map: FloatArray | None, scale: ModelScale, loudest: int | None) -> FloatArray | None:
    """A sense's map in units of its threshold, so that the maps of all frames can be compared: 1 may alarm."""
    if fused_map is None or loudest is None:
        return None
    own = scale.scales[scale.sense_of(loudest)]
    return np.asarray((fused_map - own.typical) / (own.threshold - own.typical), np.float32)


class _Peaks:
    """Keeps the frames with the highest scores that are some seconds apart: up to ``most`` per label."""

    def __init__(self, video: str, most: int) -> None:
        self._video = video
        self._most = most
        self._kept: dict[bool, list[Snapshot]] = {True: [], False: []}

    @property
    def found(self) -> list[Snapshot]:
        """The snapshots, in order of time."""
        return sorted((*self._kept[True], *self._kept[False]), key=lambda snapshot: snapshot.time_s)

    def take(
        self, scored: ScoredFrame, names: list[str], score: float, abnormal: bool, mask: NDArray[np.bool_] | None
    ) -> None:
        if not self._most or math.isnan(score):
            return
        frame, kept = scored.frame, self._kept[abnormal]
        near = bool(kept) and frame.time_s - kept[-1].time_s < _PEAK_APART_S
        if near and score <= kept[-1].score:
            return
        if not near and len(kept) >= self._most:
            lowest = min(kept, key=lambda snapshot: snapshot.score)
            if score <= lowest.score:
                return
            kept.remove(lowest)
        if near:
            kept.pop()
        maps = {
            name: detection.anomaly_map
            for name, detection in zip(names, scored.detections, strict=True)
            if detection.anomaly_map is not None
        }
        shown = _small(frame.image)
        kept.append(
            Snapshot(
                self._video,
                frame.index,
                frame.time_s,
                score,
                abnormal,
                shown,
                maps,
                None if mask is None else mask.copy(),
            )
        )


def _small(image: Image) -> Image:
    """A copy that is at most 320 px wide."""
    height, width = image.shape[:2]
    if width <= _SHOWN_WIDTH:
        return image.copy()
    size = (_SHOWN_WIDTH, max(1, round(height * _SHOWN_WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
