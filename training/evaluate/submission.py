"""The competition's file: ``Id,Predicted``, one row a frame that exists, Id = ``{video}_{frame}``."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import SourceError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.judging.published_postprocess import published_postprocess
from monitor.model.model_store import Model
from monitor.replay import AS_LIVE, ReplayLog, frames, replay, scored
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.folder import FolderSource
from monitor.sources.source import Source
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.text.wording import counted
from training.output import Post, check_output_file, write_whole
from training.progress import Report, Steps
from training.recordings import nothing_readable, recorded_sources
from training.score_table import ScoreTable, raw_fused

CAUSAL = SmoothingSettings(min_window_s=0.2, max_window_s=0.36)
"""The published median of 5 to 9 frames at 25 frames a second."""


def write_submission(data: str, model: Model, out: Path, post: Post, report: Report) -> int:
    """Score every frame of the numbered videos at ``data`` and write the file, whole or not at all.

    published  the offline post-processing, which needs all videos
    causal     as it runs live: causal median, then 0 = typical normal and 1 = the threshold by the model's
               held-out statistics; see ``squeezed`` for how that comes into the file's [0, 1]
    Returns the number of rows. Raises SourceError for data that is no numbered video, UsageError when the file cannot
    be written, before any scoring.
    """
    sources = numbered(recorded_sources([data], split="testing_videos"))
    check_output_file(out, "--out")
    score = _published_scores if post is Post.PUBLISHED else _causal_scores
    indices: dict[int, NDArray[np.int64]] = {}
    scores: dict[int, NDArray[np.float64]] = {}
    with report.steps(f"scoring {counted(len(sources), 'video')}", len(sources)) as step:
        for number, source in sources.items():
            log, started = ReplayLog(), time.perf_counter()
            indices[number], scores[number] = score(source, model, log, step)
            rate = len(indices[number]) / (time.perf_counter() - started)
            report.say(f"{source.label}: {counted(len(indices[number]), 'frame')}, {rate:.0f} per second")
            if lost := len(log.unreadable):
                report.say(f"{counted(lost, 'unreadable frame')} of {source.label} without a row in the file")
            step()
    predicted = published_predictions(scores) if post is Post.PUBLISHED else causal_predictions(scores)
    rows = sorted(
        (f"{number}_{frame_number(source, index)}", value)
        for number, source in sources.items()
        for index, value in zip(indices[number].tolist(), predicted[number].tolist(), strict=True)
    )
    _write(out, rows)
    return len(rows)


Found = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(N,) 0-based numbers of the frames in the source, and (N,) their scores."""


def _published_scores(source: Source, model: Model, log: ReplayLog, step: Steps) -> Found:
    """Raw scores of every frame as it is: the published protocol knows no health check.

    Raises SourceError if nothing can be read, ModelError for a model of several detectors.
    """
    table = ScoreTable()
    for each in scored(frames(source, FrameRules(RuleSettings()), log=log), model, log):
        table.add(each)
        step.frame()
    if not len(table):
        raise nothing_readable(source)
    scores = table.scores()
    return scores.index, raw_fused(scores, model)


def _causal_scores(source: Source, model: Model, log: ReplayLog, step: Steps) -> Found:
    """Scores of every frame as live, 0 = typical normal, 1 = the threshold; NaN where nothing can be judged.

    Raises SourceError where nothing can be read.
    """
    monitor = CameraMonitor(source.name, ModelScale(model, 1.0, CAUSAL), CAUSAL, AlertSettings())
    found = []
    for judgement in replay(source, model, monitor, replace(AS_LIVE, analysis_fps=0.0), log):
        found.append((judgement.scored.frame.index, judgement.score))
        step.frame()
    if not found:
        raise nothing_readable(source)
    index, score = zip(*found, strict=True)
    return np.array(index, np.int64), np.array(score, np.float64)


def published_predictions(scores: Mapping[int, NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
    """Raw scores by video -> predictions in [0, 1], by the published offline post-processing of all videos."""
    done = published_postprocess({str(number): values for number, values in scores.items()})
    return {int(number): values for number, values in done.items()}


def causal_predictions(scores: Mapping[int, NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
    """Live scores by video -> predictions in [0, 1]; a frame that no detector could judge is taken as most normal."""
    return {number: np.nan_to_num(squeezed(values), nan=0.0) for number, values in scores.items()}


def squeezed(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Live scores into (0, 1) without a clip that would make the highest alike: 0.5 is the threshold.

    Monotone, so every ranking stays; the same for every frame, so nothing of the test set goes in.
    """
    over = score - 1
    return np.asarray(0.5 + 0.5 * over / (1 + np.abs(over)), np.float64)


def numbered(sources: Sequence[Source]) -> dict[int, Source]:
    """Sources by the number that names their file or folder: 3 for ``03``, ``03.avi`` or ``testing_03``.

    Raises SourceError for a name without a number and for a number that stands twice.
    """
    found: dict[int, Source] = {}
    for source in sources:
        digits = re.search(r"([0-9]+)$", Path(source.label).resolve().stem)
        if digits is None:
            raise SourceError(f"{source.label} is not named by a number: the competition's Ids need names such as 01")
        number = int(digits[1])
        if number in found:
            raise SourceError(f"two videos have the number {number}: {found[number].label} and {source.label}")
        found[number] = source
    return found


def frame_number(source: Source, index: int) -> int:
    """The number in the file's name for a folder of frames, the 0-based index for a video."""
    return source.number(index) if isinstance(source, FolderSource) else index


def _write(out: Path, rows: list[tuple[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Id", "Predicted"))
    writer.writerows((name, f"{value:.8g}") for name, value in rows)
    write_whole(out, text.getvalue())
