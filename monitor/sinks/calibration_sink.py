"""Writes what cameras' thresholds have learned from what is watched, now and then and at the end."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.sink import Sink
from monitor.reports import RunReport

EVERY_S = 300.0
"""Seconds of the run between two writes: a run that is killed loses no more than this."""


class CalibrationSink(Sink):
    """Keeps the calibration of each camera that learns on. Use it as a context manager."""

    def __init__(self, store: CalibrationStore) -> None:
        self._store = store
        self._monitors: dict[str, CameraMonitor] = {}
        self._next_s = EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._save_all()

    def added(self, monitor: CameraMonitor) -> None:
        """From now on, this monitor's calibration is kept. That of the monitor before it is written."""
        self._save(monitor.camera)
        self._monitors[monitor.camera] = monitor

    def removed(self, camera: str) -> None:
        """Write the camera's calibration a last time."""
        self._save(camera)
        self._monitors.pop(camera, None)

    def tick(self, report: RunReport) -> None:
        """Write when it is due."""
        if report.elapsed_s >= self._next_s:
            self._next_s = report.elapsed_s + EVERY_S
            self._save_all()

    def _save_all(self) -> None:
        for camera in self._monitors:
            self._save(camera)

    def _save(self, camera: str) -> None:
        monitor = self._monitors.get(camera)
        if monitor is not None and monitor.calibration.on and monitor.calibration.watched_s > 0:
            self._store.save(camera, monitor.calibration, monitor.smoothing)
