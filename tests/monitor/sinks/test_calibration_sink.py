"""Calibrations are written now and then, when a camera leaves, when its monitor changes, and at the end."""

from __future__ import annotations

from pathlib import Path

from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import LiveCalibration
from monitor.learning.calibration_store import CalibrationStore
from monitor.reports import RunReport
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.calibration_sink import EVERY_S, CalibrationSink
from monitor.testing.fakes import brightness_model, scored

SMOOTHING = SmoothingSettings()


def monitor(camera: str, *, on: bool = True, digit: str = "0") -> CameraMonitor:
    scale = ModelScale(brightness_model(digit=digit), 1.0, SMOOTHING)
    return CameraMonitor(camera, scale, SMOOTHING, AlertSettings(), calibration=LiveCalibration(scale, on=on))


def watch(watched: CameraMonitor, seconds: int = 65) -> None:
    for i in range(seconds):
        watched.update(scored(float(i)))


def written(store: CalibrationStore, camera: str) -> bool:
    return store.path(camera).exists()


def test_it_writes_when_it_is_due_and_at_the_end(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    door, yard = monitor("door"), monitor("yard")
    with CalibrationSink(store) as sink:
        sink.added(door)
        sink.added(yard)
        watch(door)
        sink.tick(RunReport(EVERY_S / 2, 0, ()))
        assert not written(store, "door")
        sink.tick(RunReport(EVERY_S, 0, ()))
        assert written(store, "door")
        assert not written(store, "yard"), "nothing was watched"
        watch(yard)
    assert written(store, "yard")


def test_it_writes_when_a_camera_leaves_and_when_another_monitor_judges_it(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    door, yard = monitor("door"), monitor("yard")
    with CalibrationSink(store) as sink:
        for each in (door, yard):
            sink.added(each)
            watch(each)
        sink.removed("yard")
        assert written(store, "yard")
        sink.added(monitor("door", digit="1"))
        assert store.load("door", door.scale, SMOOTHING).watched_s > 0


def test_a_camera_whose_threshold_stays_has_no_file(tmp_path: Path) -> None:
    with CalibrationSink(CalibrationStore(tmp_path / "kept")) as sink:
        sink.added(file := monitor("file", on=False))
        watch(file)
    assert not (tmp_path / "kept").exists()
