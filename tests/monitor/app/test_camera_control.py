"""Learning again is asked for once, over restarts, and ends with a new version; the demo cannot be opened again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.alerts.control import Cameras, ControlReply, ControlRequest, Mask, Relearn, Zone, decode_reply
from monitor.alerts.control_desk import Asker, Desk
from monitor.alerts.messages import encode
from monitor.app.camera_control import CameraControl
from monitor.app.changed_run import ChangedRun, FleetCameras
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.demo import MODEL_FOLDER
from monitor.app.planning import plan_cameras
from monitor.app.reload import Reloader
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.reports import Progress, RunReport
from monitor.testing.captured import eventually
from monitor.testing.fakes import LevelSource
from monitor.testing.sink_contract import report_of

CORNERS = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))


class House:
    """A run with a live camera that has a version of a model of its own."""

    def __init__(self, folder: Path, *, demo: bool = False) -> None:
        self.models = folder / "models"
        if not self.models.exists():
            shutil.copytree(MODEL_FOLDER, self.models / "door" / "v0001")
        self.store = ChoiceStore(folder / "choices.json")
        self.base = MonitorConfig(models_folder=self.models, device="cpu")
        settings, cameras = self.prepare()
        self.fleet = Fleet(Pipeline(), cameras)
        self.reloader = Reloader(None, self.prepare, settings, self.fleet, follow=False)
        watched = FleetCameras(self.fleet, lambda: self.reloader.settings)
        run = ChangedRun(self.store, watched, lambda: self.reloader.settings, None if demo else self.reloader)
        self.control = CameraControl(run)
        self.desk = Desk("lab", "e1")
        self.control.serve_at(self.desk)

    def prepare(self) -> tuple[MonitorConfig, list[Camera]]:
        settings = self.base.with_choices(self.store)
        return settings, plan_cameras([LevelSource("door", [25] * 50, live=True)], settings, None)

    def ask(self, request: ControlRequest) -> ControlReply:
        """Ask as the main loop does, until the answer comes."""
        steps = self.desk.answer(encode(request), Asker("127.0.0.1"))
        replies: list[ControlReply] = []

        def answered() -> bool:
            self.reloader.tick()
            try:
                next(steps)
            except StopIteration as ended:
                replies.append(decode_reply(ended.value))
            return bool(replies)

        assert eventually(answered, 60.0)
        return replies[0]

    @property
    def learns(self) -> bool:
        member = self.fleet.get("door")
        assert member is not None
        return member.monitor is None


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., House]:
    return lambda **given: House(tmp_path, **given)


def test_learning_again_outlives_a_restart_and_ends_with_a_new_version(house: Callable[..., House]) -> None:
    first = house()
    assert not first.learns
    reply = first.ask(Relearn(camera="door"))
    assert reply.said == (
        "door learns again, from the next 10 min; it is not watched until then, and its older versions stay"
    )
    assert first.learns
    assert first.ask(Relearn(camera="door")).said == "door learns already"
    second = house()
    assert second.learns, "after a restart, it goes on"
    shutil.copytree(MODEL_FOLDER, second.models / "door" / "v0002")
    third = house()
    assert not third.learns
    third.control.tick(RunReport(1.0, 0, (report_of("door"),)))
    shutil.rmtree(third.models / "door" / "v0002")
    assert not house().learns, "going back to the version before does not make it learn again"


def test_the_list_tells_how_far_a_camera_has_learned(house: Callable[..., House]) -> None:
    run = house()
    run.control.tick(RunReport(1.0, 0, (report_of("door", progress=Progress(0.5, "learning", 12.0)),)))
    run.ask(Zone(camera="door", name="road", polygon=CORNERS))
    (camera,) = run.ask(Cameras()).data["cameras"]
    assert camera["learning"] == {"share": 0.5, "left_s": 12.0, "said": "50 % of all, about 12 s left"}
    assert camera["may_relearn"] is True
    (zone,) = camera["zones"]
    assert (zone["name"], zone["fixed"], zone["polygon"]) == ("road", False, [list(corner) for corner in CORNERS])


def test_the_demo_says_that_its_scene_cannot_be_opened_again(house: Callable[..., House]) -> None:
    demo = house(demo=True)
    assert demo.ask(Zone(camera="door", name="road", polygon=CORNERS)).reply == "ok"
    for request in (Mask(camera="door", name="a", polygon=CORNERS), Relearn(camera="door")):
        assert demo.ask(request).said == (
            "the demo has its own scene, which cannot be opened again: watch a camera of yours"
        )
    assert demo.store.of("door").masks == {}


def test_the_list_of_cameras_tells_before_that_the_demo_opens_none(house: Callable[..., House]) -> None:
    for demo in (True, False):
        told = house(demo=demo).ask(Cameras()).data
        assert bool(told["why_not_opened"]) == demo
        assert told["cameras"][0]["may_relearn"] == (not demo)
