"""A model folder with one detector, for the tests of model folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.detector.registry import REGISTRY
from monitor.model.model_store import save_model
from monitor.testing.fakes import Brightness, held_out, provenance


@pytest.fixture
def _brightness_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")


@pytest.fixture
def folder(tmp_path: Path, _brightness_registered: None) -> Path:
    """A model of the detector ``brightness``, which can be loaded."""
    save_model(tmp_path / "model", "street", [Brightness()], held_out(), provenance())
    return tmp_path / "model"
