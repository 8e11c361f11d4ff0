"""Models that benchmarks create for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.model.model_store import Model, Provenance, load_model, save_model
from monitor.replay import score_frames
from monitor.scores.held_out import HeldOut
from monitor.types import Frame, Image


def untrained_model(folder: Path, images: Sequence[Image], sizes: tuple[int, ...], name: str) -> Model:
    """Write a model folder with the published network and random weights (its speed does not depend on the weights).

    images: (H, W, 3) uint8 BGR, ten per second; their scores become its held-out scores.
    """
    torch.manual_seed(0)
    detector = TrueSight.from_network(TrueSightNet(), variant="published", sizes=sizes).calibrate(list(images))
    frames = [Frame("x", i, i / 10, image) for i, image in enumerate(images)]
    scores = score_frames(frames, detector)
    held_out = HeldOut(np.arange(len(images)) / 10, np.zeros(len(images), np.int32), {detector.name: scores})
    provenance = Provenance(
        recipe="untrained", data=[], frames=0, seed=0, commit=None, device="cpu", trained_at="1970-01-01T00:00:00+00:00"
    )
    save_model(folder, name, [detector], held_out, provenance)
    return load_model(folder)
