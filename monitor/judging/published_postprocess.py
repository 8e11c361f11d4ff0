"""The published offline post-processing of a test set's scores.

It uses future frames, and it needs every video before it gives the first number. So it is only for comparison with
published figures. The live monitor uses monitor.scores.smoothing instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from monitor.errors import UsageError

PERCENTILES = (0.5, 99.5)
"""The scores of all videos together are clipped to these percentiles before they are scaled to [0, 1]."""


def published_window(n: int) -> int:
    """Width in frames of the median filter for a video of n frames: min(9, max(5, n // 15)), made odd by +1."""
    width = min(9, max(5, n // 15))
    return width if width % 2 == 1 else width + 1


def published_postprocess(scores: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[np.float64]]:
    """Smooth each video with a centred median (edge values repeated), then scale all videos together to [0, 1].

    scores: video -> (n,) raw score of each frame, n >= 1. A high score is abnormal.
    Returns the same videos in the same order. If all scores are equal, the result is 0.
    Raises UsageError if there is no video, a video has no score, or a score is not a finite number.
    """
    smooth: dict[str, NDArray[np.float64]] = {}
    for video, raw in scores.items():
        values = np.asarray(raw, dtype=np.float64)
        if values.ndim != 1 or values.size == 0:
            raise UsageError(f"video '{video}' has no scores: every video needs at least one frame")
        if not np.isfinite(values).all():
            raise UsageError(f"video '{video}' has a score that is not a finite number: score every frame first")
        smooth[video] = median_filter(values, size=published_window(values.size), mode="nearest")
    if not smooth:
        raise UsageError("there are no videos to post-process: give the scores of at least one video")
    low, high = np.percentile(np.concatenate(list(smooth.values())), PERCENTILES)
    span = float(high - low) or 1.0
    return {video: (np.clip(values, low, high) - low) / span for video, values in smooth.items()}
