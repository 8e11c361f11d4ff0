"""What thresholds have learned survives a run; what is damaged, foreign or cannot be written costs nothing else."""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import LiveCalibration
from monitor.learning.calibration_store import CalibrationStore
from monitor.scores.smoothing import SmoothingSettings
from monitor.testing.fakes import brightness_model

SMOOTHING = SmoothingSettings()


def scale(digit: str = "0") -> ModelScale:
    return ModelScale(brightness_model(digit=digit), 1.0, SMOOTHING)


def watched(store: CalibrationStore, hours: float = 1.0) -> LiveCalibration:
    """An hour of noise that has been watched and written."""
    calibration = store.load("door", scale(), SMOOTHING)
    rng = np.random.default_rng(0)
    for i in range(int(hours * 1800)):
        calibration.take(0, 2.0 * i, [0.1 + float(rng.exponential(0.03))], alarmed=i % 500 == 0)
    store.save("door", calibration, SMOOTHING)
    return calibration


def test_the_next_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path / "kept")
    before = watched(store)
    again = CalibrationStore(tmp_path / "kept").load("door", scale(), SMOOTHING)
    assert again.scale.scales == before.scale.scales
    assert again.watched_s == before.watched_s == pytest.approx(3600, abs=31)
    assert any(map(math.isfinite, again.peaks["brightness"].limits)), "an event that nobody has judged"
    assert again.scale.scales != LiveCalibration(scale()).scale.scales


def test_another_model_another_smoothing_or_another_camera_begins_anew(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    watched(store)
    smoother = SmoothingSettings(max_window_s=2.0)
    for camera, of, smoothing in (
        ("yard", scale(), SMOOTHING),
        ("door", scale("1"), SMOOTHING),
        ("door", scale(), smoother),
    ):
        assert store.load(camera, of, smoothing).watched_s == 0.0


def test_files_are_private(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path / "kept")
    watched(store)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path("door").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["door.safetensors"]


def test_a_full_disk_keeps_the_file_before_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = CalibrationStore(tmp_path)
    before = watched(store)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "fsync", full)
        for _ in range(3):
            store.save("door", LiveCalibration(scale(), on=True, watched_s=9e6), SMOOTHING)
    assert [record.getMessage().count("No space left") for record in caplog.records] == [1]
    assert store.load("door", scale(), SMOOTHING).watched_s == before.watched_s


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk" * 100,
        save({"of": np.zeros(32, np.uint8)}),
        save({"watched_s": np.array([1.0])}),
    ],
)
def test_a_damaged_file_is_not_used_and_replaced(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = CalibrationStore(tmp_path)
    store.path("door").write_bytes(content)
    assert store.load("door", scale(), SMOOTHING).watched_s == 0.0
    assert all("learned is damaged" in record.getMessage() for record in caplog.records)
    watched(store)
    assert store.load("door", scale(), SMOOTHING).watched_s > 0


def test_something_else_of_this_name_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = CalibrationStore(tmp_path)
    store.path("door").mkdir()
    assert store.load("door", scale(), SMOOTHING).watched_s == 0.0
    assert "cannot be read: it is a folder" in caplog.text


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_change_of_a_byte_ends_the_start(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    store = CalibrationStore(tmp_path_factory.mktemp("kept"))
    watched(store, 0.2)
    content = bytearray(store.path("door").read_bytes())
    content[at % len(content)] = byte
    store.path("door").write_bytes(content)
    found = store.load("door", scale(), SMOOTHING)
    assert all(math.isfinite(each.threshold) for each in found.scale.scales.values())
