"""Gives what is watched to the memories that grow."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.learning.growing import Growing, GrowingPlan
from monitor.live.sink import Sink
from monitor.reports import CameraReport


class GrowingSink(Sink):
    """Passes scores and alerts to ``Growing``. Use it as a context manager.

    plan  the plan of a camera that this monitor judges from now on; None if its memory does not grow
    """

    def __init__(self, growing: Growing, plan: Callable[[CameraMonitor], GrowingPlan | None]) -> None:
        self._growing, self._plan = growing, plan

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._growing.close()

    def added(self, monitor: CameraMonitor) -> None:
        """The camera's memory goes on, begins or is frozen."""
        plan = self._plan(monitor)
        if plan is None:
            self._growing.end(monitor.camera)
        else:
            self._growing.begin(plan)

    def score(self, judgement: Judgement) -> None:
        """Its frame may enter the memory later."""
        self._growing.take(judgement)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002
        """An alarm does not enter."""
        self._growing.alert(alert)

    def removed(self, camera: str) -> None:
        """The camera's memory is kept."""
        self._growing.end(camera)
