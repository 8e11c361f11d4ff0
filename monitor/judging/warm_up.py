"""Makes a model ready before it joins a run, so that its first frames take no longer than the others."""

from __future__ import annotations

import numpy as np

from monitor.detector.network_threads import one_thread_per_network
from monitor.judging.scorer import Scorer, Watcher
from monitor.types import Frame

_FRAMES, _STEP_S = 12, 0.1  # a network needs the frames of a second before it computes
_SIZE = (320, 180)


def warm_up(model: Watcher, size: tuple[int, int] | None = None) -> None:
    """Score some frames of noise and forget them. Libraries prepare much at the first call.

    size: (width, height) of the camera's pictures, px. Raises what a detector raises: better here than in the thread
    that scores all cameras.
    """
    one_thread_per_network()
    width, height = size or _SIZE
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    scorer = Scorer({"": model})
    for number in range(_FRAMES):
        scorer.score([Frame("", number, number * _STEP_S, np.roll(noise, 4 * number, axis=1))])
