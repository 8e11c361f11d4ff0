"""What is prepared before a run, so that nothing stops it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app import planning
from monitor.app.config import MonitorConfig
from monitor.app.planning import plan_cameras
from monitor.testing.fakes import LevelSource


@pytest.mark.parametrize(("detectors", "imported"), [(None, ["true-sight-2"]), (("motion", "static"), [])])
def test_what_networks_need_is_imported_before_a_run_in_which_a_camera_learns_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detectors: tuple[str, ...] | None, imported: list[str]
) -> None:
    found: list[str] = []
    monkeypatch.setattr(planning, "detector_class", found.append)
    settings = MonitorConfig(models_folder=tmp_path, detectors=detectors)
    plan_cameras([LevelSource("door", [25]), LevelSource("yard", [25])], settings, None)
    assert found == imported
