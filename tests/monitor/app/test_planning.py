"""What is prepared before a run, so that nothing stops it later."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from monitor.app import planning
from monitor.app.config import MonitorConfig
from monitor.app.planning import plan_cameras, warn_of_short_footage
from monitor.testing.fakes import LevelSource, watched_by


@pytest.mark.parametrize(("detectors", "imported"), [(None, ["true-sight-2"]), (("motion", "static"), [])])
def test_what_networks_need_is_imported_before_a_run_in_which_a_camera_learns_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detectors: tuple[str, ...] | None, imported: list[str]
) -> None:
    found: list[str] = []
    monkeypatch.setattr(planning, "detector_class", found.append)
    settings = MonitorConfig(models_folder=tmp_path, detectors=detectors)
    plan_cameras([LevelSource("door", [25]), LevelSource("yard", [25])], settings, None)
    assert found == imported


def test_a_threshold_that_the_footage_cannot_confirm_is_called_an_estimate(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "monitor"):
        warn_of_short_footage([watched_by(LevelSource("door", [25]))])
    (said,) = caplog.messages
    assert said == (
        "the threshold of 'brightness' is an estimate: it was tested on 1 min of footage, which cannot confirm fewer "
        "than 1400 false alarms per day; to confirm 1, learn from at least 24 h"
    )
