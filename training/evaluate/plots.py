"""Plots of an evaluation: score curves with labels and alarms, ROC curves, heat maps of the highest scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from monitor.errors import RunError
from monitor.text.wording import counted
from monitor.types import Image
from training.evaluate.evaluation import Measured
from training.evaluate.events import TOLERANCE_S, Alarm
from training.evaluate.ranking import filled_scores
from training.evaluate.watching import DIFFERENCE, FUSED, Snapshot, Watched

mpl.use("Agg")  # writes files only, so it needs no screen
mpl.rcParams["text.parse_math"] = False  # a $ in the name of a video is no formula

_VIDEOS_A_PAGE = 8
_ROWS_A_STRIP = 8
_LABEL, _FUSED, _TRUE, _FALSE = "#f4b6b0", "#1f3b64", "#1a8a4a", "#c42b1c"
_LEGEND = ("labelled abnormal", "score", "threshold", "alarm", "false alarm")
_OTHERS = ("#3f8fd2", "#e08e2b", "#8a5fb0", "#4aa59a", "#9a6b4f")
_HIGHEST = 4.0  # the axis ends at this many times the threshold; higher scores are cut off


def draw(found: Measured, folder: Path) -> list[Path]:
    """Write the PNG files into an existing folder and return their paths. Raises RunError."""
    files: list[Path] = []

    def save(figure: Figure, name: str) -> None:
        path = folder / f"{name}.png"
        try:
            figure.savefig(path, dpi=110, facecolor="white")
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from None
        files.append(path)

    pages = range(0, len(found.watched), _VIDEOS_A_PAGE)
    for page, start in enumerate(pages, 1):
        number = f"-{page}" if len(pages) > 1 else ""
        save(_timelines(found, found.watched[start : start + _VIDEOS_A_PAGE]), f"scores{number}")
    save(_roc(found), "roc")
    shown = sorted((s for video in found.watched for s in video.snapshots), key=lambda s: -s.score)
    # High scores on normal frames are rare, so they get a separate figure.
    for kind, abnormal in (("abnormal", True), ("normal", False)):
        chosen = [snapshot for snapshot in shown if snapshot.abnormal is abnormal][:_ROWS_A_STRIP]
        if chosen:
            save(_strips(found, chosen, kind), f"peaks-{kind}")
    return files


def _timelines(found: Measured, videos: Sequence[Watched]) -> Figure:
    """One panel per video: labels, fused score, threshold, alarms."""
    figure = Figure(figsize=(12, 1.1 + 1.55 * len(videos)), layout="constrained")
    panels = figure.subplots(len(videos), 1, squeeze=False)[:, 0]
    for axes, video in zip(panels, videos, strict=True):
        _timeline(axes, video, found)
    panels[-1].set_xlabel("seconds")
    # The legend contains only what at least one panel contains.
    drawn = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = [label for label in _LEGEND if label in drawn]
    handles = [drawn[label] for label in labels]
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False, fontsize=9)
    figure.suptitle(f"{found.evaluation.model}: score, 1 = the threshold", x=0.01, ha="left", fontsize=11)
    return figure


def _timeline(axes: Axes, video: Watched, found: Measured) -> None:
    for i, (first, last) in enumerate(video.truth.intervals):
        axes.axvspan(first, last, color=_LABEL, lw=0, label=_LEGEND[0] if not i else None)
    judged = next(j for j in found.judged[FUSED] if j.name == video.name)
    score = video.judged(video.fused).score if found.evaluation.events is not None else judged.score
    highest = _HIGHEST if found.evaluation.events is not None else 1.0
    top = min(highest, max(1.3, float(np.nanmax(score, initial=0.0)) * 1.1)) if not np.isnan(score).all() else 1.3
    axes.plot(video.time_s, np.minimum(score, 2 * top), color=_FUSED, lw=1.2, label=_LEGEND[1])
    if found.evaluation.events is not None:
        axes.axhline(1.0, color="#555555", lw=0.9, ls="--", label=_LEGEND[2])
        _alarms(axes, video, top)
    axes.set_ylim(min(0.0, max(-0.6, float(np.nanmin(score, initial=0.0)))), top * 1.12)
    axes.set_xlim(float(video.time_s[0]), float(video.time_s[-1]))
    axes.set_title(video.name, loc="left", fontsize=9, pad=3)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _alarms(axes: Axes, video: Watched, top: float) -> None:
    """Draw a bar at the upper edge for each alarm: green if it belongs to a label, otherwise red."""
    for alarm in video.alarms:
        hit = _belongs(alarm, video)
        ends = (alarm.started_s, max(alarm.ended_s, alarm.started_s + 0.05))
        colour, label = (_TRUE, _LEGEND[3]) if hit else (_FALSE, _LEGEND[4])
        axes.plot(ends, (top * 1.06,) * 2, color=colour, lw=4, solid_capstyle="butt", label=label)


def _belongs(alarm: Alarm, video: Watched) -> bool:
    return any(
        alarm.started_s <= last + TOLERANCE_S and alarm.ended_s >= first for first, last in video.truth.intervals
    )


def _roc(found: Measured) -> Figure:
    """ROC curves over all frames: of the fused score, each detector and the frame difference."""
    figure = Figure(figsize=(6.2, 6), layout="constrained")
    axes = figure.subplots()
    evaluation = found.evaluation
    figures = {FUSED: evaluation.scores, **evaluation.detectors, DIFFERENCE: evaluation.frame_difference}
    if len(evaluation.detectors) == 1:
        del figures[FUSED]
    colours = iter(_OTHERS * 3)
    for name, metrics in figures.items():
        judged = found.judged[name]
        fpr, tpr, _ = roc_curve(np.concatenate([j.abnormal for j in judged]), np.concatenate(filled_scores(judged)))
        first = name == FUSED or (len(evaluation.detectors) == 1 and name != DIFFERENCE)
        colour = _FUSED if first else "#888888" if name == DIFFERENCE else next(colours)
        style = ":" if name == DIFFERENCE else "-"
        axes.plot(fpr, tpr, style, color=colour, lw=2.2 if first else 1.4, label=f"{name}  {metrics.auc_micro:.3f}")
    axes.plot([0, 1], [0, 1], color="#cccccc", lw=0.8, zorder=0)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    axes.set_xlabel("share of normal frames above the score")
    axes.set_ylabel("share of abnormal frames above the score")
    axes.set_title(f"{evaluation.model}: ROC over {counted(evaluation.frames, 'frame')}", loc="left", fontsize=11)
    axes.legend(loc="lower right", title="AUC micro", frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _strips(found: Measured, snapshots: Sequence[Snapshot], kind: str) -> Figure:
    """One row per frame: the frame with its mask, then the frame with each detector's map."""
    names = [name for name in found.evaluation.detectors if any(name in s.maps for s in snapshots)]
    height, width = snapshots[0].image.shape[:2]
    panel = 3.0
    size = (panel * (1 + len(names)), len(snapshots) * (panel * height / width + 0.22) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(snapshots), 1 + len(names), squeeze=False)
    # All frames of a detector share one scale, so that a map is dark where nothing is unusual.
    tops = {name: max(float(s.maps[name].max()) for s in snapshots if name in s.maps) for name in names}
    lows = {name: float(np.median([np.median(s.maps[name]) for s in snapshots if name in s.maps])) for name in names}
    for row, snapshot in zip(grid, snapshots, strict=True):
        _picture(row[0], snapshot.image)
        if snapshot.mask is not None:
            _outline(row[0], snapshot.mask, snapshot.image)
        title = (
            f"{Path(snapshot.video).name}  frame {snapshot.index}, {snapshot.time_s:.1f} s, score {snapshot.score:.2f}"
        )
        row[0].set_title(title, loc="left", fontsize=8, pad=2)
        for axes, name in zip(row[1:], names, strict=True):
            _picture(axes, _grey(snapshot.image))
            heat = snapshot.maps.get(name)
            if heat is not None:
                alpha = np.clip((heat - lows[name]) / max(tops[name] - lows[name], 1e-9), 0, 1)
                axes.imshow(
                    heat,
                    extent=_extent(snapshot.image),
                    cmap="inferno",
                    vmin=lows[name],
                    vmax=tops[name],
                    alpha=0.85 * np.sqrt(alpha),
                    interpolation="bilinear",
                )
            axes.set_title(name, loc="left", fontsize=8, pad=2)
    figure.suptitle(f"Highest scores on frames labelled {kind}", x=0.01, ha="left", fontsize=11)
    return figure


def _picture(axes: Axes, image: Image) -> None:
    axes.imshow(image[..., ::-1], extent=_extent(image))
    axes.set_xticks([])
    axes.set_yticks([])


def _outline(axes: Axes, mask: NDArray[np.bool_], image: Image) -> None:
    """Draw the edge of the mask. contour draws rows upwards, so it gets the positions of rows and columns."""
    height, width = image.shape[:2]
    down = (np.arange(mask.shape[0]) + 0.5) * height / mask.shape[0]
    right = (np.arange(mask.shape[1]) + 0.5) * width / mask.shape[1]
    axes.contour(right, down, mask.astype(float), [0.5], colors="#ffd400", linewidths=1)


def _extent(image: Image) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) of a picture, so that a map drawn over it covers all of it."""
    height, width = image.shape[:2]
    return (0.0, float(width), float(height), 0.0)


def _grey(image: NDArray[np.uint8]) -> Image:
    """The picture without colour and a little darker, so that the heat map is easy to see."""
    return np.repeat((image.mean(axis=2, keepdims=True) * 0.7).astype(np.uint8), 3, axis=2)
