"""How a camera is to learn what is normal for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.learning.hold import Hold

LEAST_LEARNING_S = 10.0
"""Least footage to learn from, seconds."""


@dataclass(frozen=True, eq=False)
class LearningPlan:
    """How a camera learns.

    folder      of its versions; footage is recorded beside them
    duration_s  seconds of stream to learn from
    analysis_fps  frames analysed per second, while it learns and when it is watched; 0 for every frame
    detectors   what is learned
    hold        of a file: what holds it while it is learned from; None for a live camera
    resumed     it is watched already, and what an earlier run had recorded but not learned in full is learned from
    """

    name: str
    label: str
    folder: Path
    duration_s: float
    detectors: tuple[str, ...]
    hold: Hold | None = None
    resumed: bool = False
    keep_footage: bool = False
    analysis_fps: float = 10.0
    device: str = "cpu"

    @property
    def footage(self) -> Path:
        """Where it records."""
        return self.folder / "footage"
