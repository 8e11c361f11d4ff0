"""Scores of held-out normal footage, stored in the model folder. Every threshold is computed from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Raw scores of held-out normal footage, before smoothing.

    time_s  (N,) float64, seconds on the stream's clock, increasing within a clip
    clip    (N,) int32, number of the clip that a frame belongs to
    scores  detector name -> (N,) float64; NaN if the detector could not score the frame yet
    regime  (N,) int8, the regime of each frame as an index in ``tuple(Regime)``; None if it was not determined
    """

    time_s: NDArray[np.float64]
    clip: NDArray[np.int32]
    scores: dict[str, NDArray[np.float64]]
    regime: NDArray[np.int8] | None = None

    def duration_s(self) -> float:
        """Total duration of all clips, seconds."""
        return float(sum(np.ptp(self.time_s[self.clip == number]) for number in np.unique(self.clip)))
