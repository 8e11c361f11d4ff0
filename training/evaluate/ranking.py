"""AUC and average precision of scores compared with frame labels, with intervals for the choice of the clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from monitor.errors import UsageError

Interval = tuple[float, float]
"""Lower and upper end of an interval."""

RESAMPLES = 1000
LEAST_CLIPS = 3
"""Minimum number of clips for a meaningful bootstrap over clips."""
_SEED = 0
_CHUNK = 4_000_000  # weights in memory at once; 32 MB per array


@dataclass(frozen=True, eq=False)
class Judged:
    """The labels and scores of a video, one per frame: (N,) each."""

    name: str
    abnormal: NDArray[np.bool_]
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """AUC and average precision (AP).

    micro     over all frames
    macro     mean over the videos that contain both classes; NaN if there is none
    chance    average precision of random scores: the share of abnormal frames
    interval  contains 95 % of 1000 bootstrap resamples of the clips; None with fewer than 3 clips (macro: fewer than 3
              clips with both classes)
    """

    auc_micro: float
    auc_macro: float
    ap_micro: float
    ap_macro: float
    chance: float
    chance_macro: float
    auc_micro_interval: Interval | None = None
    auc_macro_interval: Interval | None = None
    ap_micro_interval: Interval | None = None
    ap_macro_interval: Interval | None = None


def metrics(videos: Sequence[Judged]) -> Metrics:
    """Compute AUC and average precision. A frame without a score (NaN) counts as the least abnormal.

    Raises UsageError if all frames have the same class.
    """
    abnormal = np.concatenate([v.abnormal for v in videos])
    if not mixed(abnormal):
        kind = "abnormal" if abnormal.any() else "normal"
        raise UsageError(f"all labelled frames are {kind}: choose a --subset with normal and abnormal frames")
    filled = filled_scores(videos)
    score = np.concatenate(filled)
    both = [(v.abnormal, s) for v, s in zip(videos, filled, strict=True) if mixed(v.abnormal)]
    aucs = [float(roc_auc_score(a, s)) for a, s in both]
    aps = [float(average_precision_score(a, s)) for a, s in both]
    auc_micro, ap_micro = bootstrap([v.abnormal for v in videos], filled)
    return Metrics(
        auc_micro=float(roc_auc_score(abnormal, score)),
        auc_macro=_mean(aucs),
        ap_micro=float(average_precision_score(abnormal, score)),
        ap_macro=_mean(aps),
        chance=float(abnormal.mean()),
        chance_macro=_mean([float(a.mean()) for a, _ in both]),
        auc_micro_interval=auc_micro,
        auc_macro_interval=_bootstrap_mean(aucs),
        ap_micro_interval=ap_micro,
        ap_macro_interval=_bootstrap_mean(aps),
    )


def filled_scores(videos: Sequence[Judged]) -> list[NDArray[np.float64]]:
    """The scores of the videos, with NaN replaced by a value below all others."""
    known = np.concatenate([v.score[~np.isnan(v.score)] for v in videos])
    lowest = float(known.min()) - 1 if known.size else 0.0
    return [np.where(np.isnan(v.score), lowest, v.score) for v in videos]


def bootstrap(
    abnormal: Sequence[NDArray[np.bool_]], score: Sequence[NDArray[np.float64]]
) -> tuple[Interval | None, Interval | None]:
    """95 % intervals of micro AUC and average precision over resamples of the clips, drawn with replacement.

    abnormal, score: (N,) per clip. Percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    section 13.3), clustered by clip, because the frames of a clip are not independent. Resamples without both classes
    are ignored.
    """
    if len(abnormal) < LEAST_CLIPS:
        return None, None
    aucs, aps = resampled(abnormal, score)
    return interval_of(aucs), interval_of(aps)


def resampled(
    abnormal: Sequence[NDArray[np.bool_]], score: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Micro AUC and average precision of each resample of the clips that has both classes, see ``bootstrap``.

    Scores of other models on the same clips get the same resamples, in the same order.
    """
    clips = len(abnormal)
    draws = np.random.default_rng(_SEED).integers(0, clips, (RESAMPLES, clips))
    times = np.stack([np.bincount(row, minlength=clips) for row in draws])  # (resamples, clips): number of draws
    clip = np.concatenate([np.full(len(s), number) for number, s in enumerate(score)])
    labels, values = np.concatenate(abnormal), np.concatenate(score)
    order = np.argsort(-values, kind="stable")
    labels, clip, values = labels[order], clip[order], values[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # of each run of equal scores
    aucs, aps = [], []
    step = max(1, _CHUNK // len(values))
    for start in range(0, RESAMPLES, step):
        weight = times[start : start + step, clip].astype(np.float64)
        hits = np.cumsum(weight * labels, axis=1)[:, last]
        misses = np.cumsum(weight * ~labels, axis=1)[:, last]
        usable = (hits[:, -1] > 0) & (misses[:, -1] > 0)
        auc, ap = _areas(hits[usable], misses[usable])
        aucs.append(auc)
        aps.append(ap)
    return np.concatenate(aucs), np.concatenate(aps)


def _areas(hits: NDArray[np.float64], misses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUC and average precision of each row, from cumulative true and false positives by falling score."""
    gained = np.diff(hits, axis=1, prepend=0.0)
    before = np.concatenate([np.zeros((len(misses), 1)), misses[:, :-1]], axis=1)
    # One trapezoid per run of equal scores: its abnormal frames beat the normal ones below and half of its own ones.
    area = (gained * (misses[:, -1:] - (before + misses) / 2)).sum(axis=1) / (hits[:, -1] * misses[:, -1])
    precision = hits / np.maximum(hits + misses, 1e-12)
    return area, (gained * precision).sum(axis=1) / hits[:, -1]


def _bootstrap_mean(values: Sequence[float]) -> Interval | None:
    return None if len(values) < LEAST_CLIPS else interval_of(resampled_means(values))


def resampled_means(values: Sequence[float]) -> NDArray[np.float64]:
    """The mean of each resample of the values: (1000,). The same resamples for as many other values."""
    draws = np.random.default_rng(_SEED).integers(0, len(values), (RESAMPLES, len(values)))
    return np.asarray(np.array(values)[draws].mean(axis=1), np.float64)


def interval_of(values: NDArray[np.float64]) -> Interval | None:
    """From the 2.5 % to the 97.5 % quantile of the values; None without any."""
    if not values.size:
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def mixed(abnormal: NDArray[np.bool_]) -> bool:
    """True if both classes are present."""
    return bool(abnormal.any() and not abnormal.all())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
