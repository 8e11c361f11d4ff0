"""The precision of a network: how it is chosen, that emulation is refused, and that decisions do not depend on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monitor.detector.base import Observation, Precision
from monitor.detector.precision import bfloat16_is_fast, trunk_type
from monitor.detector.true_sight2.clip_inputs import CHANNELS
from monitor.detector.true_sight2.clip_net import ClipNet
from monitor.detector.true_sight2.true_sight2_detector import Scene, TrueSight2, TrueSight2Settings
from monitor.errors import UsageError
from monitor.model.model_store import Provenance, load_model, save_model
from monitor.scores.held_out import HeldOut
from monitor.types import Frame

CPU = torch.device("cpu")
needs_bfloat16 = pytest.mark.skipif(not bfloat16_is_fast(CPU), reason="this CPU only emulates bfloat16")


def detector() -> TrueSight2:
    torch.manual_seed(0)
    scene = Scene(np.full((96, 160), 90, np.float32), np.full((6, 10), 10, np.float32))
    return TrueSight2(ClipNet(CHANNELS, 8), TrueSight2Settings(width=8), scene)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    held_out = HeldOut(np.arange(50) / 10, np.zeros(50, np.int32), {"true-sight-2": np.linspace(-3, -2, 50)})
    made = Provenance(
        recipe="t", data=[], frames=0, seed=0, commit=None, device="cpu", trained_at="1970-01-01T00:00:00Z"
    )
    save_model(folder, "m", [detector()], held_out, made)
    return folder


def scores(folder: Path, precision: Precision) -> list[float]:
    (loaded,) = load_model(folder, "cpu", precision).detectors
    stream, rng = loaded.new_stream(), np.random.default_rng(0)
    frames = [Frame("a", i, i / 10, rng.integers(0, 255, (96, 160, 3), np.uint8)) for i in range(12)]
    return [found.score for found in loaded.score([Observation(frame, stream) for frame in frames])]


def test_what_is_only_emulated_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(UsageError, match="cpu only emulates bfloat16, which is slower than float32: use float32 or"):
        trunk_type("bfloat16", CPU, fast=False)
    assert trunk_type("auto", CPU, fast=False) is torch.float32
    assert trunk_type("auto", CPU, fast=True) is torch.bfloat16
    assert trunk_type("float32", CPU, fast=True) is torch.float32


@needs_bfloat16
def test_a_model_is_loaded_in_the_precision_asked_for_and_scores_alike(folder: Path) -> None:
    plain, fast = np.array(scores(folder, "float32")), np.array(scores(folder, "bfloat16"))
    assert not np.array_equal(plain, fast, equal_nan=True)
    np.testing.assert_array_equal(np.isnan(plain), np.isnan(fast))
    np.testing.assert_allclose(fast, plain, atol=0.05)  # logits; thresholds are several logits above normal scores
    np.testing.assert_array_equal(scores(folder, "auto"), fast)
