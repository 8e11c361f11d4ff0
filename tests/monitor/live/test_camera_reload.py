"""A reload changes the settings of one camera: which take effect while its stream stays open, and which are refused."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from monitor.app.config import CameraConfig, LearningConfig, MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.demo import MODEL_FOLDER
from monitor.app.link_config import LinkConfig
from monitor.app.place_config import MaskConfig, ZoneConfig
from monitor.app.planning import plan_cameras
from monitor.app.reload import Reloader
from monitor.judging.alerting import AlertSettings
from monitor.live.capture import Capture
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.watch import Watch
from monitor.places import CameraPlaces, PlaceRules, Polygon
from monitor.scores.smoothing import SmoothingSettings
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.testing.fakes import LevelSource
from monitor.testing.scripted import FAST, Clock, ClockedStop, RecordingSink, Shot, Step, recorded
from tests.monitor.live.test_fleet import DEMO, settle

CAMERA_CHANGES: dict[str, tuple[dict[str, object], bool, bool]] = {
    "source": ({"source": "other"}, True, True),
    "transport": ({"transport": "tcp"}, True, True),
    "check_certificate": ({"check_certificate": True}, True, True),
    "ca": ({"ca": Path("ca.pem")}, True, True),
    "model": ({"model": MODEL_FOLDER}, False, True),
    "false_alarms_per_day": ({"false_alarms_per_day": 5.0}, False, True),
    "detectors": ({"detectors": ("motion",)}, False, True),
    "analysis_fps": ({"analysis_fps": 5.0}, False, False),
    "alert": ({"alert": AlertSettings(min_duration_s=2.0)}, False, True),
    "smoothing": ({"smoothing": SmoothingSettings(max_window_s=0.8)}, False, True),
    "learning": ({"learning": LearningConfig(on=False)}, False, True),
    "health": ({"health": HealthSettings(frozen=False)}, False, False),
    "schedule": ({"schedule": ScheduleSettings(armed=("22:00-06:00",))}, False, False),
    "zones": ({"zones": {"road": ZoneConfig(polygon=((0, 0), (1, 0), (1, 1)), sensitivity=0.5)}}, False, False),
    "masks": ({"masks": {"desk": MaskConfig(polygon=((0, 0), (1, 0), (1, 1)))}}, True, True),
}
"""Setting of a camera -> another value, whether its stream is opened again, and whether it is judged anew."""


def test_every_setting_of_a_camera_has_its_row_in_the_test_of_reloads() -> None:
    assert set(CAMERA_CHANGES) == set(CameraConfig.model_fields)


@pytest.mark.parametrize("learns", [False, True])
def test_the_events_of_a_camera_that_is_opened_again_have_other_numbers(learns: bool) -> None:
    def plan() -> Camera:
        settings = DEMO.model_copy(update={"cameras": {"door": CameraConfig(source="door")}})
        (camera,) = plan_cameras([LevelSource("door", [25], live=True)], settings, None)
        return camera

    camera = plan()
    fleet = Fleet(Pipeline(), [camera])
    Watch(fleet, [])
    assert camera.monitor is not None
    camera.monitor.count_from(3)
    fleet.remove("door")
    again = plan()
    if learns:
        fleet.add(replace(again, monitor=None))
        fleet.replace(again)
    else:
        fleet.add(again)
    assert again.monitor is not None
    assert again.monitor.events == 3


@pytest.mark.parametrize("name", CAMERA_CHANGES)
def test_a_reload_changes_one_setting_of_one_camera_and_opens_it_again_only_if_it_must(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(MODEL_FOLDER, tmp_path / "copy")
    changes, opened_again, judged_anew = CAMERA_CHANGES[name]
    if name == "model":
        changes = {"model": tmp_path / "copy"}
    if name == "ca":
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
        changes = {"ca": tmp_path / "ca.pem"}
    address = "rtsps://door.example/1" if name in LinkConfig.model_fields and name != "source" else "door"
    plain = {"door": CameraConfig(source=address), "yard": CameraConfig(source="yard")}
    first = DEMO.model_copy(update={"cameras": plain})
    other = plain | {"door": CameraConfig(**{"source": address, **changes})}
    second = DEMO.model_copy(update={"cameras": other})

    def plan(settings: MonitorConfig) -> list[Camera]:
        sources = [LevelSource(each, [25] * 50, live=True) for each in settings.cameras]
        return plan_cameras(sources, settings, None)

    (tmp_path / "c.toml").write_text("")
    settings = [first]
    fleet = Fleet(Pipeline(), plan(first))
    reloader = Reloader(tmp_path / "c.toml", lambda: (settings[-1], plan(settings[-1])), first, fleet, follow=False)
    before = {member.name: (member.feed, member.monitor) for member in fleet}
    settings.append(second)
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "changed door; unchanged: 1" in caplog.text
    assert "restart" not in caplog.text
    door, yard = fleet.get("door"), fleet.get("yard")
    assert door is not None
    assert yard is not None
    assert (yard.feed, yard.monitor) == before["yard"], "another camera is not touched"
    assert (door.feed is not before["door"][0]) == opened_again
    assert (door.monitor is not before["door"][1]) == judged_anew
    assert door.camera.capture == plan(second)[0].capture
    assert door.camera.judged_by == plan(second)[0].judged_by
    caplog.clear()
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "nothing changed; unchanged: 2" in caplog.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("analysis_fps = -1", "setting 'cameras.door.analysis_fps': should be"),
        ("learning.on = 'maybe'", "setting 'cameras.door.learning.on': should be true or false"),
        ("schedule.armed = 'always'", "setting 'cameras.door.schedule.armed': 'always' is no time of the week"),
        ("zones.a.polygon = [[0,0],[1,1],[1,0],[0,1]]", "setting 'cameras.door.zones.a': its sides cross or touch"),
    ],
)
def test_a_wrong_value_is_one_sentence_and_the_old_settings_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, says: str
) -> None:
    config = tmp_path / "c.toml"
    head = f'model = "{MODEL_FOLDER}"\ndevice = "cpu"\n[cameras.door]\nsource = "door"\n'
    config.write_text(head)

    def prepare() -> tuple[MonitorConfig, list[Camera]]:
        settings = load_config(config, {})
        return settings, plan_cameras([LevelSource("door", [25] * 50)], settings, None)

    settings, cameras = prepare()
    fleet = Fleet(Pipeline(), cameras)
    reloader = Reloader(config, prepare, settings, fleet, follow=False)
    config.write_text(head + text + "\n")
    settle(reloader)
    (refused,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert says in refused
    assert "config refused, the run continues with the previous one" in refused
    assert len(refused.splitlines()) == 1
    member = fleet.get("door")
    assert member is not None
    assert member.camera is cameras[0]
    assert reloader.settings is settings


def test_other_rules_hold_from_the_next_frame_on_and_the_stream_stays_open() -> None:
    half = Polygon(((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
    zone = CameraPlaces(PlaceRules(ignored=(half,)))
    changes = [replace(FAST, places=zone), replace(FAST, places=zone, analysis_fps=5.0)]
    steps: list[Step] = []
    for number in range(30):
        if number in (10, 20):
            steps.append(lambda: capture.use(changes.pop(0)))
        steps.append(Shot(number / 10))
    clock, sink = Clock(), RecordingSink()
    source = recorded(steps, fps=10.0)
    capture = Capture(source, sink, FAST, ClockedStop(clock), clock)
    capture.run()
    at = [(round(frame.time_s, 1), frame.segment, frame.places is not None) for frame in sink.frames]
    assert at[:20] == [(number / 10, 0, number >= 10) for number in range(20)], "an event goes on"
    later = at[20:]
    assert [segment for _, segment, _ in later] == [1] * len(later)
    assert len(later) == 5, "every second frame"


@pytest.mark.parametrize(("day", "armed"), [(2, True), (3, False)])
def test_the_wall_clock_arms_a_live_camera(day: int, armed: bool) -> None:
    now = datetime(2026, 3, day, 18, 30, tzinfo=UTC).timestamp()  # Monday and Tuesday, 19:30 in Berlin
    schedule = ScheduleSettings(armed=("Mon 19:00-24:00",), time_zone="Europe/Berlin", recorded_at=datetime(2026, 3, 2))
    settings = replace(FAST, schedule=schedule.schedule, recorded_at=schedule.recorded_at_s)
    clock, sink = Clock(), RecordingSink()
    source = LevelSource("door", [25] * 5, live=True)
    Capture(source, sink, replace(settings, max_frames=3), ClockedStop(clock), clock, wall_clock=lambda: now).run()
    assert [frame.armed for frame in sink.frames] == [armed] * 3
