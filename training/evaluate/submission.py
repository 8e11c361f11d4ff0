"""Writes the competition's file: ``Id,Predicted``, one row per existing frame, Id = ``{video}_{frame}``."""

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
from monitor.reading import real_path
from monitor.replay import AS_LIVE, ReplayLog, frames, replay, scored
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.source import Source
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.text.wording import counted
from training.output import Post, check_output_file, write_whole
from training.progress import Report, Steps
from training.recordings import nothing_readable, recorded_sources
from training.score_table import ScoreTable, check_raw, raw_fused

CAUSAL = SmoothingSettings(min_window_s=0.2, max_window_s=0.36)
"""The published median of 5 to 9 frames at 25 frames per second."""


def write_submission(data: str, model: Model, out: Path, post: Post, report: Report) -> int:
    """Score every frame of the numbered videos at ``data`` and write the file, completely or not at all.

    published  the offline post-processing, which needs all videos
    causal     as in a live run: causal median, then the scale of the model's held-out scores (0 = typical normal, 1 =
               the threshold). ``squeezed`` maps this scale to [0, 1] for the file

    Returns the number of rows. Before it scores anything, it raises SourceError for a video without a number,
    UsageError if the file cannot be written, and ModelError if the published protocol does not fit the model.
    """
    if post is Post.PUBLISHED:
        check_raw(model)
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
                report.say(f"{source.label}: no row in the file for {counted(lost, 'unreadable frame')}")
            step()
    predicted = published_predictions(scores) if post is Post.PUBLISHED else causal_predictions(scores)
    rows = sorted(
        (f"{number}_{source.number(index)}", value)
        for number, source in sources.items()
        for index, value in zip(indices[number].tolist(), predicted[number].tolist(), strict=True)
    )
    _write(out, rows)
    return len(rows)


Found = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(N,) 0-based numbers of the frames in the source, and (N,) scores."""


def _published_scores(source: Source, model: Model, log: ReplayLog, step: Steps) -> Found:
    """Raw scores of every frame, unchanged, because the published protocol has no health check.

    Raises SourceError if nothing can be read, ModelError for a model with several detectors.
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
    """Scores of every frame as in a live run, 0 = typical normal, 1 = the threshold; NaN if no detector can judge.

    Raises SourceError if nothing can be read.
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
    """Raw scores per video -> predictions in [0, 1], with the published offline post-processing of all videos."""
    done = published_postprocess({str(number): values for number, values in scores.items()})
    return {int(number): values for number, values in done.items()}


def causal_predictions(scores: Mapping[int, NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
    """Live scores per video -> predictions in [0, 1]. A frame that no detector could judge gets 0, the most normal."""
    return {number: np.nan_to_num(squeezed(values), nan=0.0) for number, values in scores.items()}


def squeezed(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map live scores to (0, 1); 0.5 is the threshold. It does not clip, because all high scores would become equal.

    The mapping is monotone, so it keeps every ranking. It is the same for every frame, so it uses no information about
    the test set.
    """
    over = score - 1
    return np.asarray(0.5 + 0.5 * over / (1 + np.abs(over)), np.float64)


def numbered(sources: Sequence[Source]) -> dict[int, Source]:
    """Sources by the number in the name of their file or folder: 3 for ``03``, ``03.avi`` or ``testing_03``.

    Raises SourceError for a name without a number and for a number that occurs twice.
    """
    found: dict[int, Source] = {}
    for source in sources:
        digits = re.search(r"([0-9]+)$", real_path(Path(source.label)).stem)
        if digits is None:
            raise SourceError(
                f"{source.label} has no number at the end of its name: the competition's Ids need names such as 01"
            )
        number = int(digits[1])
        if number in found:
            raise SourceError(
                f"two videos have the number {number}, {found[number].label} and {source.label}: rename one"
            )
        found[number] = source
    return found


def _write(out: Path, rows: list[tuple[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Id", "Predicted"))
    writer.writerows((name, f"{value:.8g}") for name, value in rows)
    write_whole(out, text.getvalue())
