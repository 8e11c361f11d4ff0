"""The plan of how a camera learns what is normal for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.learning.hold import Hold

LEAST_LEARNING_S = 10.0
"""Minimum length of footage to learn from, seconds."""


@dataclass(frozen=True, eq=False)
class LearningPlan:
    """How a camera learns.

    name          the camera's name
    label         its source, for display
    folder        holds the versions of its model, and its recorded footage
    duration_s    seconds of stream to learn from
    detectors     names of the detectors to learn
    hold          holds a file while the camera learns from it; None for a live camera
    resumed       True: the camera is already watched, and only the rest is learned from the footage of an earlier run
    again         True: it has a model, and learns anew from new footage
    keep_footage  False: remove the footage when everything has been learned
    analysis_fps  frames analysed per second, during learning and watching; 0 for every frame
    device        where networks are trained
    max_ms        milliseconds per analysed frame that all detectors together may take; None: no limit
    false_alarms_per_day  the budget at which a better version is compared with the first
    """

    name: str
    label: str
    folder: Path
    duration_s: float
    detectors: tuple[str, ...]
    hold: Hold | None = None
    resumed: bool = False
    again: bool = False
    keep_footage: bool = False
    analysis_fps: float = 10.0
    device: str = "cpu"
    max_ms: float | None = None
    false_alarms_per_day: float = 1.0

    @property
    def footage(self) -> Path:
        """The folder of the recorded footage. What is recorded to learn again never mixes with older footage."""
        return self.folder / ("footage-again" if self.again else "footage")

    @property
    def watched(self) -> Path:
        """The folder of what is recorded while a better version is learned."""
        return self.folder / "watched"
