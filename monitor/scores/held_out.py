"""Scores of held-out normal footage, which a model folder keeps: the data that every threshold is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Raw scores of held-out normal footage, before smoothing.

    time_s  (N,) float64, the stream's clock in seconds, increasing within a clip
    clip    (N,) int32, which clip a frame belongs to
    scores  detector name -> (N,) float64; NaN where the detector could not judge yet
    regime  (N,) int8, which of ``tuple(Regime)`` the light of each frame is; None where that was not looked at
    """

    time_s: NDArray[np.float64]
    clip: NDArray[np.int32]
    scores: dict[str, NDArray[np.float64]]
    regime: NDArray[np.int8] | None = None

    def duration_s(self) -> float:
        """Seconds of footage, all clips together."""
        return float(sum(np.ptp(self.time_s[self.clip == number]) for number in np.unique(self.clip)))
