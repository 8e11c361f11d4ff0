"""What is prepared before a run, so that nothing stops it later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.app import planning
from monitor.app.config import MonitorConfig
from monitor.app.planning import plan_cameras, warn_of_short_footage
from monitor.app.reload import Reloader
from monitor.detector.base import Observation
from monitor.live.fleet import Camera
from monitor.testing.captured import eventually
from monitor.testing.fakes import Brightness, LevelSource, brightness_model, fleet_of, watched_by
from monitor.types import Detection


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
        "than 1400 false alarms per day; to confirm 1, learn from at least 24 h. Until a day was "
        "watched, more alarms are allowed, marked early"
    )


def test_a_model_that_a_reload_brings_is_warmed_up_in_its_thread_and_refused_if_it_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    threads: list[str] = []

    class Noted(Brightness):
        def score(self, batch: Sequence[Observation]) -> list[Detection]:
            threads.append(threading.current_thread().name)
            if len(threads) > 20:
                raise ZeroDivisionError("the network fell over")
            return super().score(batch)

    door, first = LevelSource("door", [25]), MonitorConfig()
    fleet = fleet_of(watched_by(door))
    digits = iter("12")

    def prepare() -> tuple[MonitorConfig, list[Camera]]:
        fresh = replace(brightness_model(), hash=next(digits) * 64, detectors=(Noted(),))
        return first, [replace(watched_by(door, fresh), judged_by=(fresh.id,))]

    caplog.set_level(logging.INFO)
    reloader = Reloader(tmp_path / "c.toml", prepare, first, fleet, follow=False)
    for _ in range(2):
        reloader.requested.set()
        reloader.done.clear()
        assert eventually(lambda: _ticked(reloader).done.is_set(), within_s=10)
    assert set(threads) == {"reload"}
    assert "model of door" in caplog.text
    assert "the run continues with the previous one: ZeroDivisionError: the network fell over" in caplog.text
    member = fleet.get("door")
    assert member is not None
    assert member.camera.model.hash.startswith("1")


def _ticked(reloader: Reloader) -> Reloader:
    reloader.tick()
    return reloader
