"""The weight of ``appearance`` beside ``motion``: how well it finds synthetic anomalies in unseen footage.

Synthetic anomalies are made at 160x96 px (``synthetic_anomalies.py``). So a second memory is learned at this size, from
the footage without its held-out part. Normal samples have objects pasted into them, too: what finds only pasting earns
nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from monitor.detector.appearance.appearance_detector import Appearance
from monitor.errors import UsageError
from training.learn.grey_footage import GreyClip, GreyFootage, empty_scene, grey_footage
from training.learn.learners import Clips
from training.learn.moving_objects import Sample
from training.learn.synthetic_anomalies import AnomalyMaker

SAMPLES = 300
"""Samples of each kind. Their AUC then has a standard error of .02."""


def synthetic_auc_of_appearance(learned: Clips, held_out: Clips, *, samples: int = SAMPLES, seed: int = 1) -> float:
    """AUC on synthetic anomalies; 0.5 is chance.

    learned   the footage to learn from, each clip in order of time
    held_out  footage that is not part of it

    Raises UsageError if no anomalies can be made from this footage.
    """
    try:
        known, others = grey_footage(learned), grey_footage(held_out)
        maker = AnomalyMaker(GreyFootage(others, empty_scene(known)), np.random.default_rng(seed))
        memory = Appearance.fit_grey([_stretch(clip) for clip in known], seed)
    except UsageError as error:
        raise UsageError(f"its weight cannot be measured on synthetic anomalies: {error}") from error
    normal = _scores(memory, [maker.normal() for _ in range(samples)])
    abnormal = _scores(memory, [sample for sample in (maker.abnormal() for _ in range(samples)) if sample.mask.any()])
    if not len(abnormal):
        raise UsageError("no synthetic anomaly can be made from this footage, so its weight cannot be measured")
    return float(mannwhitneyu(abnormal, normal).statistic / (len(abnormal) * len(normal)))


def _stretch(clip: GreyClip) -> list[tuple[float, NDArray[np.uint8]]]:
    return [(float(time_s), frame) for time_s, frame in zip(clip.times, clip.frames, strict=True)]


def _scores(memory: Appearance, samples: list[Sample]) -> NDArray[np.float64]:
    return np.array([memory.pooled(memory.look(sample.now, sample.earlier[0])) for sample in samples])
