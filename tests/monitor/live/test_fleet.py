"""The fleet: one table of cameras. Only a reload and a camera that has learned change it."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from pydantic import SecretStr
from rich.console import Console

from monitor.app.config import CameraConfig, MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.demo import MODEL_FOLDER
from monitor.app.planning import find_sources, learned, plan_cameras, watching
from monitor.app.reload import PER_CAMERA, Reloader
from monitor.app.session import RunOptions, Session
from monitor.delivery.mqtt_settings import MqttSettings
from monitor.delivery.notify_settings import NotifySettings
from monitor.delivery.webhook_settings import WebhookSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.learning.learning_plan import LearningPlan
from monitor.live.capture import Capture, CaptureSettings
from monitor.live.fleet import Camera, Fleet, Member
from monitor.live.pipeline import Pipeline
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.sinks.metrics.metrics_settings import MetricsSettings
from monitor.states import CameraState
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.testing.fakes import LevelSource, brightness_model, fleet_of, watched_by
from monitor.testing.scripted import FAST, Clock, ClockedStop, RecordingSink, Shot, Step, recorded
from monitor.web.web_settings import WebSettings
from tests.helpers.normal_street import SIZE, street

DEADLINE_S = 60.0
DEMO = MonitorConfig(model=MODEL_FOLDER, device="cpu")


class Noted:
    """Records the reports of the fleet."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def joined(self, member: Member) -> None:
        self.said.append(("joined", member.name))

    def judged_anew(self, member: Member, before: CameraMonitor | None) -> None:
        assert member.monitor is not before
        self.said.append(("judged anew", member.name))

    def leaving(self, member: Member) -> None:
        self.said.append(("leaving", member.name))


def settle(reloader: Reloader) -> None:
    """Reload once, as the main loop does it."""
    reloader.done.clear()
    reloader.requested.set()
    tick = threading.Event()
    for _ in range(round(DEADLINE_S / 0.01)):
        reloader.tick()
        if reloader.done.is_set():
            return
        tick.wait(0.01)  # the config is read in a thread
    pytest.fail("the config was not read in time")


def reloading(fleet: Fleet, first: MonitorConfig, tmp_path: Path) -> tuple[Reloader, list[MonitorConfig]]:
    """A reloader of the fleet, and a list. The reloader reads the last config in the list."""
    (tmp_path / "c.toml").write_text("")
    settings = [first]

    def prepare() -> tuple[MonitorConfig, Sequence[Camera]]:
        names = settings[-1].cameras or {"door": CameraConfig(source="door")}
        return settings[-1], plan_cameras([LevelSource(name, [25] * 50) for name in names], settings[-1], None)

    return Reloader(tmp_path / "c.toml", prepare, first, fleet, follow=False), settings


def planned(settings: MonitorConfig, *names: str) -> Fleet:
    return Fleet(Pipeline(), plan_cameras([LevelSource(name, [25] * 50) for name in names], settings, None))


def test_the_three_verbs_change_the_table_and_are_reported() -> None:
    fleet, noted = fleet_of(watched_by(LevelSource("a", [25]))), Noted()
    fleet.observe(noted)
    fleet.add(watched_by(LevelSource("b", [25])))
    later = replace(brightness_model(), hash="1" * 64)
    fleet.replace(watched_by(LevelSource("a", [25]), later))
    fleet.remove("b")
    assert noted.said == [("joined", "a"), ("joined", "b"), ("judged anew", "a"), ("leaving", "b")]
    assert [member.name for member in fleet] == ["a"]
    assert fleet.get("b") is None
    assert len(fleet) == 1
    member = fleet.get("a")
    assert member is not None
    assert member.camera.model is later
    with pytest.raises(KeyError):
        fleet.remove("b")
    with pytest.raises(KeyError):
        fleet.replace(watched_by(LevelSource("b", [25])))


def test_a_changed_precision_exchanges_the_model_without_opening_the_camera_anew_or_asking_for_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = planned(DEMO, "door")
    reloader, settings = reloading(fleet, DEMO, tmp_path)
    before = fleet.get("door")
    assert before is not None
    feed, monitor = before.feed, before.monitor
    settings.append(DEMO.model_copy(update={"precision": "float32"}))
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "changed door; unchanged: 0" in caplog.text
    assert "restart" not in caplog.text
    after = fleet.get("door")
    assert after is not None
    assert after.feed is feed, "its stream is not opened again"
    assert after.monitor is not monitor
    caplog.clear()
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "nothing changed; unchanged: 1" in caplog.text


OTHER: dict[str, object] = {
    "model": None,
    "cameras": {"door": CameraConfig(source="another")},
    "detectors": ("motion",),
    "precision": "float32",
    "analysis_fps": 5.0,
    "false_alarms_per_day": 5.0,
    "capture": DEMO.capture.model_copy(update={"gap_s": 2.0}),
    "playback": DEMO.playback.model_copy(update={"speed": 2.0}),
    "schedule": ScheduleSettings(armed=("22:00-07:00",)),
    "health": DEMO.health.but(moved=False),
    "smoothing": DEMO.smoothing.but(max_window_s=0.7),
    "alert": DEMO.alert.but(min_duration_s=1.0),
    "models_folder": Path("elsewhere"),
    "state": Path("elsewhere"),
    "learning": DEMO.learning.model_copy(update={"duration_s": 60.0}),
    "node": "other",
    "device": "auto",
    "cpu_fallback": False,
    "engines": 4,
    "queue": DEMO.queue.but(capacity=16),
    "publish": DEMO.publish.model_copy(update={"enabled": False}),
    "evidence": DEMO.evidence.but(enabled=True),
    "moments": DEMO.moments.but(per_day=5),
    "normal": DEMO.normal.but(pictures=50),
    "journal": DEMO.journal.model_copy(update={"enabled": False}),
    "metrics": MetricsSettings(enabled=True),
    "web": WebSettings(enabled=True),
    "mqtt": MqttSettings(host="127.0.0.1"),
    "notify": {"phone": NotifySettings(url=SecretStr("json://127.0.0.1"))},
    "webhook": {"own": WebhookSettings(url=SecretStr("http://127.0.0.1"), secret=SecretStr("s" * 16))},
}
"""Another value of each setting."""


@pytest.mark.parametrize("name", MonitorConfig.model_fields)
def test_a_setting_that_changes_a_camera_is_not_said_to_need_a_restart(name: str, tmp_path: Path) -> None:
    folder = DEMO.model_copy(update={"models_folder": tmp_path})
    changed = folder.model_copy(update={name: OTHER[name]})
    if name == "models_folder":
        changed = changed.model_copy(update={"models_folder": tmp_path / "other"})

    def plans(settings: MonitorConfig) -> list[tuple[object, ...]]:
        both = settings, settings.model_copy(update={"model": None})  # watched, and learning
        cameras = [plan_cameras([LevelSource("door", [25])], each, None)[0] for each in both]
        return [(c.opened_with, c.judged_by, c.learning and c.learning.folder) for c in cameras]

    if plans(folder) != plans(changed):
        assert name in PER_CAMERA


def test_a_camera_that_a_reload_adds_and_that_then_learns_is_not_touched_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = MonitorConfig(models_folder=tmp_path, device="cpu", detectors=("motion", "static"))
    shutil.copytree(MODEL_FOLDER, tmp_path / "door/v0001")
    both = first.model_copy(update={"cameras": {name: CameraConfig(source=name) for name in ("door", "new")}})
    fleet = planned(first, "door")
    reloader, settings = reloading(fleet, first, tmp_path)
    settings.append(both)
    settle(reloader)
    added = fleet.get("new")
    assert added is not None
    assert added.monitor is None, "it has no model yet"
    assert added.camera.learning is not None
    shutil.copytree(MODEL_FOLDER, tmp_path / "new/v0001")  # as its learner does
    model, monitor = learned(added.camera.learning, reloader.settings)
    fleet.replace(watching(added.camera, reloader.settings, model, monitor))
    feed = added.feed
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "nothing changed; unchanged: 2" in caplog.text
    kept = fleet.get("new")
    assert kept is not None
    assert kept.feed is feed
    assert kept.monitor is monitor


def test_a_model_that_is_there_before_its_camera_takes_it_is_taken_by_a_reload_without_opening_the_camera(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = MonitorConfig(models_folder=tmp_path, device="cpu", detectors=("motion", "static"))
    fleet, learning = planned(first, "door"), NotedLearning()
    Watch(fleet, [], learning=learning)
    reloader, _ = reloading(fleet, first, tmp_path)
    member = fleet.get("door")
    assert member is not None
    assert member.monitor is None
    feed, plan = member.feed, member.camera.learning
    shutil.copytree(MODEL_FOLDER, tmp_path / "door/v0001")  # learned here or by hand, and not adopted yet
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "changed door" in caplog.text
    assert member.feed is feed
    assert member.monitor is not None
    assert member.camera.learning is plan
    assert learning.said == [("begin", "door"), ("adopted", "door")]


def test_a_plan_that_was_made_before_a_camera_had_learned_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = MonitorConfig(models_folder=tmp_path, device="cpu", detectors=("motion", "static"))
    fleet = planned(settings, "door")
    reading, learned_now = threading.Event(), threading.Event()

    def prepare() -> tuple[MonitorConfig, Sequence[Camera]]:
        cameras = plan_cameras([LevelSource("door", [25] * 50)], settings, None)
        reading.set()
        assert learned_now.wait(DEADLINE_S)
        return settings, cameras

    (tmp_path / "c.toml").write_text("")
    reloader = Reloader(tmp_path / "c.toml", prepare, settings, fleet, follow=False)
    reloader.requested.set()
    reloader.tick()
    assert reading.wait(DEADLINE_S)
    member = fleet.get("door")
    assert member is not None
    assert member.camera.learning is not None
    feed = member.feed
    shutil.copytree(MODEL_FOLDER, tmp_path / "door/v0001")
    fleet.replace(watching(member.camera, settings, *learned(member.camera.learning, settings)))
    monitor = member.monitor
    learned_now.set()
    with caplog.at_level(logging.INFO):
        settle(reloader)
    assert "nothing changed; unchanged: 1" in caplog.text
    assert (member.feed, member.monitor) == (feed, monitor)


def test_a_model_that_the_config_names_ends_the_learning_of_its_camera(tmp_path: Path) -> None:
    first = MonitorConfig(models_folder=tmp_path, device="cpu", detectors=("motion", "static"))
    fleet, learning = planned(first, "door"), NotedLearning()
    Watch(fleet, [], learning=learning)
    reloader, settings = reloading(fleet, first, tmp_path)
    settings.append(first.model_copy(update={"model": MODEL_FOLDER}))
    settle(reloader)
    assert learning.said == [("begin", "door"), ("end", "door")]


class NotedLearning(Learning):
    """Says which cameras it was asked to learn, and which to let go of; learns none."""

    def __init__(self) -> None:
        super().__init__((), lambda plan: pytest.fail(str(plan)))
        self.said: list[tuple[str, str]] = []

    def begin(self, plan: LearningPlan) -> None:
        self.said.append(("begin", plan.name))

    def end(self, name: str) -> None:
        self.said.append(("end", name))

    def adopted(self, name: str) -> None:
        self.said.append(("adopted", name))


def test_a_reload_while_a_network_learns_neither_ends_its_learning_nor_begins_it_again(tmp_path: Path) -> None:
    def camera(settings: MonitorConfig) -> Camera:
        plan = LearningPlan("door", "door", tmp_path / "door", 60.0, ("true-sight-2",), resumed=True)
        return replace(plan_cameras([LevelSource("door", [25] * 50)], settings, None)[0], learning=plan)

    fleet, learning = Fleet(Pipeline(), [camera(DEMO)]), NotedLearning()
    Watch(fleet, [], learning=learning)
    settings = DEMO.model_copy(update={"alert": DEMO.alert.but(on=1.5)})
    (tmp_path / "c.toml").write_text("")
    reloader = Reloader(tmp_path / "c.toml", lambda: (settings, [camera(settings)]), DEMO, fleet, follow=False)
    settle(reloader)
    member = fleet.get("door")
    assert member is not None
    assert member.monitor is not None
    assert member.monitor.settings.on == 1.5
    assert learning.said == [("begin", "door"), ("adopted", "door")], "which changes nothing for one that refines"


def test_another_model_brings_the_size_of_the_pictures_that_it_learned_from() -> None:
    def model(width: int, height: int) -> Model:
        plain = brightness_model()
        notes: dict[str, str | int | float] = {"width": width, "height": height}
        provenance = plain.provenance.model_copy(update={"notes": notes})
        return replace(plain, card=plain.card.model_copy(update={"provenance": provenance}))

    steps: list[Step] = [Shot(0.0), Shot(0.1), lambda: capture.watch_for(model(8, 6)), Shot(0.2), Shot(0.3)]
    clock, sink = Clock(), RecordingSink()
    capture = Capture(recorded(steps, fps=10.0), sink, FAST, ClockedStop(clock), clock, model=model(6, 8))
    capture.run()
    states = [frame.health.state for frame in sink.frames]
    assert states == [CameraState.MISFIT, CameraState.MISFIT, CameraState.ONLINE, CameraState.ONLINE]


class _Heard(logging.Handler):
    """Acts as soon as a log line contains the given words."""

    def __init__(self, *steps: tuple[str, Callable[[], None]]) -> None:
        super().__init__()
        self.steps = list(steps)

    def emit(self, record: logging.LogRecord) -> None:
        if self.steps and self.steps[0][0] in record.getMessage():
            self.steps.pop(0)[1]()


def test_a_camera_that_learns_through_a_reload_is_judged_by_the_settings_of_the_reload(tmp_path: Path) -> None:
    video = tmp_path / "street.avi"
    writer = cv2.VideoWriter(str(video), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for number in range(180):
        writer.write(street(number / 10))
    writer.release()
    config = tmp_path / "c.toml"

    def write(budget: float) -> None:
        config.write_text(
            f'false_alarms_per_day = {budget}\ndetectors = ["static"]\nmodels_folder = "{tmp_path / "models"}"\n'
            f'device = "cpu"\n[learning]\nduration_s = 12\n[playback]\nspeed = 1\n[publish]\nenabled = false\n'
            f'[cameras.door]\nsource = "{video}"\n'
        )

    def prepare() -> tuple[MonitorConfig, list[Camera]]:
        settings = load_config(config, {})
        return settings, plan_cameras(find_sources([], settings), settings, None)

    write(1.0)
    settings, cameras = prepare()
    session = Session(cameras, settings, RunOptions(headless=True, config=config), Console(quiet=True), prepare)

    def reload() -> None:
        write(7.0)
        assert session.reload is not None
        session.reload.set()

    heard = _Heard(
        ("learns what is normal", reload),
        ("config read again", lambda: None),
        ("watched with the model that it has learned", session.stop.set),
    )
    logging.getLogger("monitor").addHandler(heard)
    try:
        session.run()
    finally:
        logging.getLogger("monitor").removeHandler(heard)
    assert not heard.steps, "the run ended before all steps were done"
    member = session.fleet.get("door")
    assert member is not None
    assert member.monitor is not None
    assert member.monitor.scale.false_alarms_per_day == 7.0


def test_capture_settings_hold_the_rules_that_a_replay_has_too() -> None:
    settings = CaptureSettings(analysis_fps=7.0, gap_s=3.0)
    assert (settings.rules.analysis_fps, settings.rules.gap_s, settings.rules.health) == (7.0, 3.0, settings.health)
