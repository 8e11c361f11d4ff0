"""Detectors: frames in, scores and anomaly maps out. A new one is one file and one line here."""

from __future__ import annotations

from importlib import import_module

from monitor.detector.base import Detector
from monitor.errors import ModelError

# Imported on demand: a model without a network starts without paying for torch.
REGISTRY = {
    "true-sight": "monitor.detector.true_sight:TrueSight",
    "true-sight-2": "monitor.detector.true_sight2:TrueSight2",
    "motion": "monitor.detector.motion:Motion",
    "static": "monitor.detector.static:StaticAge",
    "scene": "monitor.detector.scene:Scene",
}


def detector_class(name: str) -> type[Detector]:
    """The detector class registered under a name. Raises ModelError for an unknown name."""
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        raise ModelError(f"unknown detector '{name}': this version knows {known}; train the model again or update")
    module, _, attribute = REGISTRY[name].partition(":")
    found: type[Detector] = getattr(import_module(module), attribute)
    return found
