"""The placeholder model of a camera that has not learned yet."""

from __future__ import annotations

from functools import cache

import numpy as np

from monitor import __version__
from monitor.model.model_store import FORMAT_VERSION, HeldOutSummary, Model, ModelCard, Provenance
from monitor.scores.held_out import HeldOut


@cache
def unlearned_model() -> Model:
    """A model without detectors: it scores nothing. It cannot be stored."""
    empty = HeldOut(np.empty(0, np.float64), np.empty(0, np.int32), {})
    card = ModelCard.model_construct(
        format="true-sight-model",
        format_version=FORMAT_VERSION,
        name="none yet",
        monitor_version=__version__,
        detectors=[],
        weights_sha256="",
        held_out=HeldOutSummary(frames=0, clips=0, duration_s=0.0, scores={}),
        provenance=Provenance(recipe="", data=[], frames=0, seed=0, commit=None, device="cpu", trained_at=""),
    )
    return Model(card, (), empty, "")
