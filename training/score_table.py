"""Collects the raw scores of recorded footage in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.errors import ModelError
from monitor.model.model_store import Model
from monitor.scores.held_out import HeldOut
from monitor.types import ScoredFrame


@dataclass(frozen=True, eq=False)
class Scores:
    """Raw scores of one source's analysed frames, before smoothing. A higher score is more abnormal.

    index      (N,) int64, 0-based number of the frame in the source
    time_s     (N,) float64, media time in seconds
    segment    (N,) int32, number of the segment; increases at every gap
    detectors  one (N,) float64 per detector, in the model's order; NaN for frames that it did not judge
    """

    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    segment: NDArray[np.int32]
    detectors: tuple[NDArray[np.float64], ...]


class ScoreTable:
    """Collects the scores of frames, one row per frame, without the pictures."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, float, int, list[float]]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, scored: ScoredFrame) -> None:
        """Add the scores of the next frame."""
        frame = scored.frame
        self._rows.append((frame.index, frame.time_s, frame.segment, [d.score for d in scored.detections]))

    def scores(self) -> Scores:
        """The collected scores. Needs at least one row."""
        index, time_s, segment, raw = zip(*self._rows, strict=True)
        table = np.array(raw, np.float64).reshape(len(self), -1)
        return Scores(
            np.array(index, np.int64),
            np.array(time_s, np.float64),
            np.array(segment, np.int32),
            tuple(table[:, i] for i in range(table.shape[1])),
        )


def held_out_scores(parts: Sequence[Scores], detectors: Sequence[Detector]) -> HeldOut:
    """The scores of held-out normal clips in the form that a model folder stores."""
    clips = [np.full(len(part.time_s), number, np.int32) for number, part in enumerate(parts)]
    return HeldOut(
        time_s=np.concatenate([part.time_s for part in parts]),
        clip=np.concatenate(clips),
        scores={d.name: np.concatenate([part.detectors[i] for part in parts]) for i, d in enumerate(detectors)},
    )


def raw_fused(scores: Scores, model: Model) -> NDArray[np.float64]:
    """One raw score per frame, (N,) float64, for post-processing that has its own scale. Raises as ``check_raw``."""
    check_raw(model)
    return scores.detectors[0]


def check_raw(model: Model) -> None:
    """Raise ModelError for a model with several detectors: their raw scores have different units."""
    if len(model.detectors) != 1:
        names = ", ".join(detector.name for detector in model.detectors)
        raise ModelError(
            f"the published post-processing needs a model with one detector, not {names}: use --post causal"
        )
