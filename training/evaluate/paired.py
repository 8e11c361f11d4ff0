"""Compares two models on the same videos: the difference of a figure, with an interval from paired resamples.

Both models are measured on each resample of the videos. How hard the drawn videos are then cancels out, so the interval
of a difference is much narrower than those of the two figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.evaluate.evaluation import Measured
from training.evaluate.evaluation_report import columns, figure
from training.evaluate.ranking import (
    LEAST_CLIPS,
    Interval,
    Judged,
    filled_scores,
    interval_of,
    mixed,
    resampled,
    resampled_means,
)


@dataclass(frozen=True)
class Difference:
    """An AUC of two models on the same videos.

    gain      this model minus the other one
    interval  contains 95 % of the gains on 1000 resamples of the videos, the same for both (Efron and Tibshirani, An
              Introduction to the Bootstrap, 1993, section 13.3); None with fewer than 3 videos
    """

    this: float
    other: float
    gain: float
    interval: Interval | None


@dataclass(frozen=True)
class Against:
    """This model beside another one. micro, macro: ``fused`` and each detector of both -> their AUC."""

    model: str
    other: str
    micro: Mapping[str, Difference]
    macro: Mapping[str, Difference]
    found: tuple[int, int] | None
    false_alarms: tuple[int, int] | None


def against(this: Measured, other: Measured) -> Against:
    """Compare two measurements of the same videos, in the same order."""
    names = [name for name in this.judged if name in other.judged and name != "frame difference"]
    pairs = {name: (this.judged[name], other.judged[name]) for name in names}
    events = this.evaluation.events, other.evaluation.events
    found = false_alarms = None
    if events[0] is not None and events[1] is not None:
        found = events[0].found, events[1].found
        false_alarms = len(events[0].false_alarms), len(events[1].false_alarms)
    return Against(
        this.evaluation.model,
        other.evaluation.model,
        {name: micro(*pair) for name, pair in pairs.items()},
        {name: difference for name, pair in pairs.items() if (difference := macro(*pair)) is not None},
        found,
        false_alarms,
    )


def micro(this: Sequence[Judged], other: Sequence[Judged]) -> Difference:
    """The AUC over all frames. The videos of both are the same, in the same order, with both classes among them."""
    labels = [video.abnormal for video in this]
    scores = filled_scores(this), filled_scores(other)
    whole = [float(roc_auc_score(np.concatenate(labels), np.concatenate(each))) for each in scores]
    drawn = None
    if len(labels) >= LEAST_CLIPS:
        drawn = resampled(labels, scores[0])[0] - resampled(labels, scores[1])[0]
    return _difference(whole[0], whole[1], drawn)


def macro(this: Sequence[Judged], other: Sequence[Judged]) -> Difference | None:
    """The mean AUC of the videos that have both classes; None if there is none."""
    aucs = [
        [
            float(roc_auc_score(video.abnormal, score))
            for video, score in zip(videos, filled_scores(videos), strict=True)
            if mixed(video.abnormal)
        ]
        for videos in (this, other)
    ]
    if not aucs[0]:
        return None
    drawn = resampled_means((np.array(aucs[0]) - np.array(aucs[1])).tolist()) if len(aucs[0]) >= LEAST_CLIPS else None
    return _difference(float(np.mean(aucs[0])), float(np.mean(aucs[1])), drawn)


def comparison(found: Against) -> str:
    """The comparison as text: one row per score."""
    rows: list[tuple[str, ...]] = [("", "AUC micro", "other", "gain", "AUC macro", "other", "gain")]
    for name, difference in found.micro.items():
        by_video = found.macro.get(name)
        cells = [part for each in (difference, by_video) for part in _cells(each)]
        rows.append((name, *cells))
    lines = [f"Beside {found.other}, on the same videos:", columns(rows)]
    if any(each.interval for each in found.micro.values()):
        lines.append("[ ]: 95 % of the gains on 1000 resamples of the videos, the same for both models")
    if found.found is not None and found.false_alarms is not None:
        lines.append(
            f"events found: {found.found[0]} beside {found.found[1]}; "
            f"false alarms: {found.false_alarms[0]} beside {found.false_alarms[1]}"
        )
    return "\n".join(lines)


def _cells(difference: Difference | None) -> tuple[str, str, str]:
    if difference is None:
        return "-", "-", "-"
    gain = f"{difference.gain:+.3f}"
    if difference.interval is not None:
        gain += f" [{difference.interval[0]:+.3f}, {difference.interval[1]:+.3f}]"
    return figure(difference.this), figure(difference.other), gain


def _difference(this: float, other: float, drawn: NDArray[np.float64] | None) -> Difference:
    return Difference(this, other, this - other, None if drawn is None else interval_of(drawn))
