"""Budget and arming that clients set: at once, without opening the camera again, and over restarts."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.control import Arm, Budget, ControlReply, ControlRequest, decode_reply
from monitor.alerts.control_desk import Asker, Desk
from monitor.alerts.messages import encode
from monitor.app.changed_run import ChangedRun, FleetCameras
from monitor.app.choice_store import Choice, ChoiceStore
from monitor.app.chooser import Chooser
from monitor.app.choosing import Choosing, WhatIf
from monitor.app.config import MonitorConfig
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.testing.fakes import LevelSource, brightness_model, watched_by
from tests.helpers.teachable import event_of

DEADLINE_S = 60.0
MODEL = brightness_model()


class House:
    """A fleet with one camera, and the desk where its budget and arming are set."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None, *, learned: bool = True) -> None:
        self.store = ChoiceStore(folder / "choices.json")
        self.settings = MonitorConfig.model_validate(settings or {}).with_choices(self.store)
        camera = watched_by(LevelSource("door", []), MODEL)
        if not learned:
            camera = replace(camera, monitor=None)
        self.fleet = Fleet(Pipeline(), [camera])
        self.noted: list[str] = []
        self.desk = Desk("lab", "e1", record=lambda asker, _, said: self.noted.append(f"{asker}: {said}"))
        self.chooser = Chooser(self.fleet, lambda: self.settings)
        self.serve()

    def serve(self, what_if: WhatIf | None = None) -> None:
        cameras = FleetCameras(self.fleet, lambda: self.settings)
        run = ChangedRun(self.store, cameras, lambda: self.settings, None)
        Choosing(run, what_if, self.chooser.chosen).serve_at(self.desk)

    def ask(self, request: ControlRequest) -> ControlReply:
        steps = self.desk.answer(encode(request), Asker("127.0.0.1"))
        try:
            next(steps)
        except StopIteration as ended:
            return decode_reply(ended.value)
        raise AssertionError("it is answered in one step")

    @property
    def camera(self) -> Camera:
        member = self.fleet.get("door")
        assert member is not None
        return member.camera

    @property
    def monitor(self) -> CameraMonitor:
        assert self.camera.monitor is not None
        return self.camera.monitor

    def until_budget(self, per_day: float) -> None:
        ends_at = time.monotonic() + DEADLINE_S
        while self.monitor.scale.false_alarms_per_day != per_day:
            assert time.monotonic() < ends_at, "the budget is never applied"
            self.chooser.tick()


def test_a_budget_changes_the_threshold_while_the_camera_stays_open(tmp_path: Path) -> None:
    house = House(tmp_path)
    feed, before = house.fleet.get("door").feed, house.monitor  # type: ignore[union-attr]
    before.calibration.watched_s = 10 * 86_400.0
    before.calibration.calibrate(0)
    reply = house.ask(Budget(camera="door", per_day=50))
    assert (reply.reply, reply.said) == ("ok", "door: the budget is 50 false alarms per day from now on")
    assert reply.data == {"camera": "door", "per_day": 50.0}
    house.until_budget(50.0)
    assert house.monitor is not before
    assert house.monitor.calibration.watched_s == 10 * 86_400.0, "what was learned is kept"
    (lower,), (higher,) = (monitor.calibration.scale.scales.values() for monitor in (house.monitor, before))
    assert lower.threshold < higher.threshold
    assert house.fleet.get("door").feed is feed  # type: ignore[union-attr]
    assert house.noted == ["127.0.0.1: door: the budget is 50 false alarms per day from now on"]
    assert MonitorConfig().with_choices(ChoiceStore(house.store.path)).of_camera("door").false_alarms_per_day == 50.0
    assert house.ask(Budget(camera="door", per_day=None)).said == (
        "door: the budget is 1 false alarm per day from now on, as the config says"
    )
    house.until_budget(1.0)


def test_what_the_config_sets_for_the_camera_itself_stays(tmp_path: Path) -> None:
    house = House(tmp_path, {"cameras": {"door": {"source": "0", "false_alarms_per_day": 3}}})
    reply = house.ask(Budget(camera="door", per_day=50))
    assert reply.reply == "error"
    assert reply.said.startswith("the config file sets the budget of door to 3 false alarms per day: change")
    house.store.choose("door", Choice(per_day=9.0))  # from a time before the file said so
    assert house.settings.of_camera("door").false_alarms_per_day == 3.0


def test_disarmed_means_recorded_only_at_all_times(tmp_path: Path) -> None:
    house = House(tmp_path, {"schedule": {"armed": ["00:00-24:00"]}})
    before = house.monitor
    reply = house.ask(Arm(camera="door", armed=False))
    assert reply.said.startswith("door is disarmed: its events are recorded from now on, and notify nobody")
    schedule = house.camera.capture.schedule
    assert schedule is not None
    assert not schedule.is_armed(time.time())
    assert not schedule.is_armed(None), "a file whose time is not known, too"
    assert house.monitor is before, "an open event continues"
    later = House(tmp_path)
    assert not later.settings.is_armed("door")
    assert house.ask(Arm(camera="door", armed=True)).said == "door is armed, in the times of its schedule"
    schedule = house.camera.capture.schedule
    assert schedule is not None
    assert schedule.is_armed(time.time())
    assert House(tmp_path).ask(Arm(camera="door", armed=True)).said == "door is armed: its alerts are raised"


def test_a_camera_that_still_learns_gets_it_later(tmp_path: Path) -> None:
    house = House(tmp_path, learned=False)
    assert house.ask(Budget(camera="door", per_day=5)).said.endswith("; it holds once the camera has learned")
    house.chooser.tick()
    assert house.camera.monitor is None
    assert house.ask(Arm(camera="door", armed=False)).reply == "ok"
    assert house.camera.capture.schedule is not None


@pytest.mark.parametrize("request_", [Budget(camera="yard", per_day=2), Arm(camera="yard", armed=False)])
def test_a_camera_that_is_not_watched_is_named(tmp_path: Path, request_: ControlRequest) -> None:
    reply = House(tmp_path).ask(request_)
    assert (reply.reply, reply.said) == (
        "error", "no camera yard is watched (cameras: door): give the name of one that is"
    )  # fmt: skip


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "choices.json").mkdir()
    house = House(tmp_path)
    reply = house.ask(Arm(camera="door", armed=False))
    assert reply.reply == "error"
    assert "so nothing has changed" in reply.said
    assert house.camera.capture.schedule is None
    assert house.noted == []


def test_another_budget_is_tried_on_the_events_that_are_kept_and_changes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    with VerdictStore(tmp_path / "taught") as store:
        teacher = Teacher(store, house.fleet, CalibrationStore(tmp_path / "calibrations"))
        house.serve(teacher.what_if)
        present = house.monitor.scale
        for number, level in enumerate((120, 250), 1):
            alert = event_of(level, model=MODEL)
            assert alert.traits is not None
            teacher.kept(replace(alert, started_at=time.time()), f"e1-door-{number}")
        tried = {}
        for per_day in (1e-6, present.false_alarms_per_day, 1e6):
            steps = house.desk.answer(encode(Budget(camera="door", per_day=per_day, preview=True)), Asker("x"))
            tried[per_day] = decode_reply(_rest(steps)).data
        assert [each["alarms"] for each in tried.values()] == [2, 2, 2]
        assert tried[1e-6]["raised"] > 1.0 == tried[present.false_alarms_per_day]["raised"] > tried[1e6]["raised"]
        assert tried[1e-6]["gone"] >= tried[present.false_alarms_per_day]["gone"] == 0
        assert tried[1e-6]["events"] == [f"e1-door-{n}" for n in (1, 2)][: tried[1e-6]["gone"]]
    assert house.monitor.scale is present
    assert house.noted == []


def test_a_run_that_keeps_no_events_says_that_it_cannot_try_a_budget(tmp_path: Path) -> None:
    reply = House(tmp_path).ask(Budget(camera="door", per_day=5, preview=True))
    assert reply.said == "this run keeps no events to try another budget on: set it untried"


def _rest(steps: Generator[bool | None, None, bytes]) -> bytes:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return bytes(ended.value)
