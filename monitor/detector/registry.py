"""All detectors, by their names in model folders and configs."""

from __future__ import annotations

from importlib import import_module

from monitor.detector.base import Detector
from monitor.errors import ModelError

# Imported on demand, so that a model without a network starts without importing torch.
REGISTRY = {
    "true-sight": "monitor.detector.true_sight.true_sight_detector:TrueSight",
    "true-sight-2": "monitor.detector.true_sight2.true_sight2_detector:TrueSight2",
    "motion": "monitor.detector.motion.motion_detector:Motion",
    "static": "monitor.detector.static_detector:StaticAge",
    "scene": "monitor.detector.scene.scene_detector:Scene",
    "appearance": "monitor.detector.appearance.appearance_detector:Appearance",
}


LEARNED = ("motion", "static", "scene", "true-sight-2")
"""The detectors that are learned by default."""

LEARNABLE = (*LEARNED, "appearance")
"""All that a camera can learn: the setting ``detectors`` may name them."""

LATER = frozenset({"true-sight-2"})
"""Those that are learned later, while the camera is already watched with the others."""


def detector_class(name: str) -> type[Detector]:
    """The detector class registered under a name. Raises ModelError for an unknown name."""
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        raise ModelError(f"unknown detector '{name}': this version knows {known}; train the model again or update")
    module, _, attribute = REGISTRY[name].partition(":")
    found: type[Detector] = getattr(import_module(module), attribute)
    return found
