"""What is prepared before a run, so that nothing stops it later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.app import planning
from monitor.app.choice_store import Choice, ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.link_config import LinkConfig
from monitor.app.planning import find_sources, growing_plan, grown, plan_cameras, warn_of_short_footage
from monitor.app.reload import Reloader
from monitor.detector.base import Observation
from monitor.errors import SourceError
from monitor.learning.growing import GrowingPlan
from monitor.live.fleet import Camera
from monitor.sources.unreadable import UnreadableSource
from monitor.testing.captured import eventually
from monitor.testing.fakes import Brightness, LevelSource, brightness_model, fleet_of, watched_by
from monitor.types import Detection
from tests.helpers.growing import first_version
from tests.helpers.made_footage import write_video


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


def test_a_source_that_cannot_be_read_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "good.avi")
    (tmp_path / "noise.avi").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty").mkdir()
    (tmp_path / "frames").mkdir()
    for name in ("a1.jpg", "b1.jpg"):
        (tmp_path / "frames" / name).write_bytes(b"x")
    names = ["good.avi", "noise.avi", "yard=gone.avi", "empty", "frames", "rtsp://127.0.0.1:9/x"]
    found = find_sources(names, MonitorConfig())
    lost = [source for source in found if isinstance(source, UnreadableSource)]
    assert [source.name for source in lost] == ["noise", "yard", "empty", "frames"]
    for source, why in zip(
        lost, ("is not a video", "no file or folder gone.avi", "no images", "number 1"), strict=True
    ):
        assert why in source.reason
        with pytest.raises(SourceError, match=why):
            source.open()
    cameras = plan_cameras(found, MonitorConfig(), None)
    assert [camera.name for camera in cameras if camera.learning is not None] == ["good", found[-1].name]
    # A reload takes what can be read now, and must not lose what is watched.
    with pytest.raises(SourceError, match="is not a video"):
        find_sources(names, MonitorConfig(), may_fail={"yard", "empty", "frames"})
    write_video(tmp_path / "gone.avi")
    again = find_sources(names, MonitorConfig(), may_fail={source.name for source in lost})
    assert [source.name for source in again] == [source.name for source in found]
    yard = plan_cameras(again, MonitorConfig(), None)[2]
    assert yard.learning is not None
    assert yard.opened_with != cameras[2].opened_with, "it is opened anew"


@pytest.mark.parametrize("names", [["gone.avi"], ["gone.avi", "noise.avi"]])
def test_a_run_in_which_nothing_can_be_watched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise.avi").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(SourceError, match=r"no file or folder gone\.avi"):
        find_sources(names, MonitorConfig())


@pytest.mark.parametrize("name", ["192.168.1.20", "a b=good.avi", "rtps://camera/x", ""])
def test_what_is_mistyped_is_refused_whatever_else_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "good.avi")
    with pytest.raises(SourceError):
        find_sources(["good.avi", name], MonitorConfig())


def test_the_memory_of_a_live_camera_with_a_model_of_its_own_grows_unless_it_is_frozen(tmp_path: Path) -> None:
    first_version(tmp_path / "door")
    settings = MonitorConfig(models_folder=tmp_path)

    def planned(settings: MonitorConfig, *, live: bool = True) -> tuple[Camera, GrowingPlan | None]:
        (camera,) = plan_cameras([LevelSource("door", [25], live=live)], settings, None)
        assert camera.monitor is not None
        return camera, growing_plan(camera, camera.monitor, settings)

    camera, plan = planned(settings)
    assert plan is not None
    assert (plan.folder, plan.size) == (tmp_path / "door", (160, 96))
    model, monitor = grown(plan, settings)
    assert (model.hash, monitor.calibration.on) == (camera.model.hash, True)
    frozen = settings.model_copy(update={"learning": settings.learning.model_copy(update={"on": False})})
    assert planned(frozen)[1] is None
    assert planned(frozen)[0].judged_by != camera.judged_by, "a reload freezes it"
    assert planned(settings, live=False)[1] is None
    assert planned(settings.model_copy(update={"model": tmp_path / "door"}))[1] is None


def test_an_added_camera_whose_address_cannot_exist_does_not_end_the_others(tmp_path: Path) -> None:
    store = ChoiceStore(tmp_path / "choices.json")
    store.choose("yard", Choice(added=LinkConfig(source="rtsp://admin:pw@127.0.0.1:9999/x")))
    store.path.write_text(store.path.read_text().replace("9999", "99999"))  # an earlier version took it
    settings = MonitorConfig().with_choices(ChoiceStore(store.path))
    door, yard = find_sources([f"door={write_video(tmp_path / 'door.avi')}"], settings)
    assert (door.name, yard.name) == ("door", "yard")
    assert isinstance(yard, UnreadableSource)
    assert "has a port that cannot exist" in yard.reason
    assert "remove yard" in yard.reason
    assert "pw" not in yard.reason + yard.label
    with pytest.raises(SourceError, match="has a port that cannot exist"):
        find_sources(["door=rtsp://127.0.0.1:99999/x"], settings)
