"""Helpers for tests of cameras that learn."""

from __future__ import annotations

import math

from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.learning_plan import LearningPlan
from monitor.model.model_store import Model
from monitor.reports import CameraReport
from monitor.states import CameraState


def never(plan: LearningPlan) -> tuple[Model, CameraMonitor]:
    """Loads no model: a test in which no version is written."""
    raise AssertionError(plan)


def resting_report(name: str, state: CameraState) -> CameraReport:
    """The report of a camera of which nothing is known but its state."""
    return CameraReport(name, "x", state, 0.0, "", math.nan, False, (), 0.0, 0.0, None, None, 0, 0, 0, 0, 0, 0, 0, 0)
