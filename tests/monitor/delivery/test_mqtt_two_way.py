"""Commands over a real broker: they reach the desk, states follow, and nothing that is sent there does harm."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.control import Arm, Budget
from monitor.alerts.control_desk import Asker
from monitor.alerts.control_queue import ControlQueue
from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.changed_run import ChangedRun, FleetCameras
from monitor.app.choice_store import ChoiceStore
from monitor.app.chooser import Chooser
from monitor.app.choosing import Choosing
from monitor.app.config import MonitorConfig
from monitor.app.deliveries import open_deliveries
from monitor.delivery.mqtt_commands import BURST, Controls
from monitor.delivery.mqtt_live_sink import MqttLiveSink
from monitor.delivery.outbox_sink import Outbox
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.states import AlertEvent, Phase
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.testing.fakes import LevelSource
from monitor.testing.mosquitto import PROGRAM, Mosquitto, Observer
from monitor.testing.sink_contract import report_of
from tests.helpers.publishing import ANY, publish_alert
from tests.helpers.teachable import event_of, monitor_that_learns_on, teachable_model
from tests.helpers.ticking import DEADLINE_S, Ticking

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed (apt-get install mosquitto)")
BUDGET, ARMED, LAST_EVENT, ANSWER = (
    f"truesight/door/{what}" for what in ("false_alarms_per_day", "armed", "last_event", "answer")
)


HERE = "truesight/door"
QUIET = AlertEvent(1, Phase.START, 10.0, None, score=1.2, peak_score=1.2, peak_s=10.0, notify=False)


class TwoWay(Ticking):
    """A monitor's desk with all that serves there, and its deliveries; ``tick`` is its main loop."""

    def __init__(self, folder: Path, port: int, config: dict[str, Any] | None = None, **mqtt: Any) -> None:
        super().__init__()
        self.folder = folder
        broker = {"host": "127.0.0.1", "port": port, "commands": True} | mqtt
        self.store = ChoiceStore(folder / "choices.json")
        settings = MonitorConfig.model_validate({"node": "lab", "mqtt": broker} | (config or {}))
        self.config = settings.with_choices(self.store)
        model = teachable_model()
        camera = Camera(LevelSource("door", []), model, CaptureSettings(), monitor_that_learns_on("door", model))
        self.fleet = Fleet(Pipeline(), [camera])

    def __enter__(self) -> TwoWay:
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(self.folder / "journal.sqlite3"))
            self.publisher = stack.enter_context(Publisher(ANY, ANY, ANY, journal=journal))
            verdicts = stack.enter_context(VerdictStore(self.folder / "taught"))
            self.teacher = Teacher(verdicts, self.fleet, CalibrationStore(self.folder / "calibrations"))
            self.teacher.serve_at(self.publisher.desk)
            self.chooser = Chooser(self.fleet, lambda: self.config)
            cameras = FleetCameras(self.fleet, lambda: self.config)
            run = ChangedRun(self.store, cameras, lambda: self.config, None)
            Choosing(run, chosen=self.chooser.chosen).serve_at(self.publisher.desk)
            self.mqtt = ControlQueue(self.publisher.desk, Asker("mqtt"))
            self.client = ControlQueue(self.publisher.desk, Asker("10.0.0.3", "desk"))
            controls = Controls(self.mqtt.ask, self.config.budget_of, self.config.is_armed)
            self.sinks: list[Sink] = open_deliveries(self.config, journal, stack, stop=self.stop, controls=controls)
            self.verdicts = verdicts
            self.stack = stack.pop_all()
        return self

    def tick(self) -> None:
        for sink in self.sinks:
            sink.tick(RunReport(1.0, 0, (report_of("door"),)))
        for each in (self.mqtt, self.client, self.chooser):
            each.tick()

    def ready(self, observer: Observer) -> None:
        self.until(lambda: observer.last.get(ANSWER) is not None, "the camera's states")

    def answered(self, observer: Observer, words: str) -> None:
        self.until(lambda: words.encode() in observer.last[ANSWER], words)

    @property
    def who(self) -> list[str]:
        """Who has changed something, oldest first."""
        return [each["by"] for each in reversed(self.verdicts.changes(100))]


def test_budget_and_arming_are_set_and_kept_over_a_restart(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        assert (observer.last[BUDGET], observer.last[ARMED], observer.last[ANSWER]) == (b"1", b"ON", b"None")
        observer.publish(f"{BUDGET}/set", "2.5")
        run.until(lambda: observer.last[BUDGET] == b"2.5", "the budget")
        run.answered(observer, "door: the budget is 2.5 false alarms per day from now on")
        observer.publish(f"{ARMED}/set", "OFF")
        run.until(lambda: observer.last[ARMED] == b"OFF", "disarmed")
        run.answered(observer, "door is disarmed")
        schedule = next(iter(run.fleet)).camera.capture.schedule
        assert schedule is not None
        assert schedule.off
        assert run.who == ["mqtt", "mqtt"]
    with TwoWay(tmp_path, broker.port) as run:
        before = len(observer.of(ARMED))
        run.until(lambda: len(observer.of(ARMED)) > before, "its state again")
        assert (observer.last[BUDGET], observer.last[ARMED]) == (b"2.5", b"OFF")


def test_the_states_follow_what_a_client_changes(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        assert run.client.ask(Budget(camera="door", per_day=7.0), lambda _: None)
        assert run.client.ask(Arm(camera="door", armed=False), lambda _: None)
        run.until(lambda: (observer.last[BUDGET], observer.last[ARMED]) == (b"7", b"OFF"), "both states")
        assert run.who == ["desk at 10.0.0.3"] * 2
    with Observer(broker.port) as late:
        late.await_payload(BUDGET, b"7")  # states are retained


def test_the_last_event_is_judged_and_the_verdict_undone(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        observer.publish(f"{LAST_EVENT}/set", "normal")
        run.answered(observer, "door has no event that notified")
        run.teacher.kept(event_of(120), "e1-door-1")
        observer.publish(f"{LAST_EVENT}/set", "normal")
        run.answered(observer, "event e1-door-1 is normal")
        observer.publish(f"{LAST_EVENT}/set", "real")
        run.answered(observer, "event e1-door-1 is real")
        observer.publish(f"{LAST_EVENT}/set", "undo")
        run.answered(observer, "event e1-door-1 is no longer real")
        assert run.verdicts.verdicts() == []
        assert run.teacher.given == {"normal": 1, "real": 1, "named": 0}
        assert run.who == ["mqtt"] * 3


def test_what_is_malformed_or_for_others_changes_nothing(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        for topic, payload in (
            ("truesight/other/armed/set", "OFF"),
            ("truesight/door/score/set", "1"),
            (f"{ARMED}/set", ""),
            (f"{ARMED}/set", "x" * 100_000),
            (f"{BUDGET}/set", "-5"),
            (f"{LAST_EVENT}/set", "\x00\u202e"),
            (f"{BUDGET}/set", "much"),
        ):
            observer.publish(topic, payload)
        run.answered(observer, "door: the budget is not a number: send false alarms per day, such as 0.5")
        assert (observer.last[BUDGET], observer.last[ARMED]) == (b"1", b"ON")
        assert "truesight/other/armed" not in observer.last
        assert run.who == []


def test_a_command_that_the_broker_has_kept_is_not_obeyed(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    """It would be obeyed again at each connection."""
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
    observer._client.publish(f"{ARMED}/set", "OFF", qos=1, retain=True).wait_for_publish(DEADLINE_S)
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        # By then, the kept one has come.
        before = len(observer.of(ARMED))
        run.until(lambda: len(observer.of(ARMED)) > before, "its state again")
        observer.publish(f"{BUDGET}/set", "3")
        run.until(lambda: observer.last[BUDGET] == b"3", "the budget")
        assert observer.last[ARMED] == b"ON"
        assert run.who == ["mqtt"]


def test_a_flood_neither_stops_events_nor_locks_out_clients(
    tmp_path: Path, broker: Mosquitto, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        for number in range(3000):
            observer._client.publish(f"{ARMED}/set", ("ON", "OFF")[number % 2], qos=0)
        publish_alert(run.publisher, "door")
        run.until(lambda: bool(observer.of("truesight/door/event")), "the event")
        run.until(lambda: "too many commands" in caplog.text, "a word about it")
        answers: list[str] = []
        assert run.client.ask(Budget(camera="door", per_day=4.0), lambda reply: answers.append(reply.reply))
        run.until(lambda: observer.last[BUDGET] == b"4", "the client's budget")
        assert answers == ["ok"]
        assert caplog.text.count("too many commands") == 1
        assert run.who.count("mqtt") <= BURST + DEADLINE_S


def test_what_the_config_sets_itself_is_answered(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    config = {"cameras": {"door": {"source": "0", "false_alarms_per_day": 3.0}}}
    with TwoWay(tmp_path, broker.port, config) as run:
        run.ready(observer)
        observer.publish(f"{BUDGET}/set", "2")
        run.answered(observer, "the config file sets the budget of door to 3 false alarms per day")
        assert len(observer.last[ANSWER]) <= 255
        assert observer.last[BUDGET] == b"3"


def test_a_broker_that_asks_nobody_who_he_is_commands_nothing_by_default(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    with TwoWay(tmp_path, broker.port, commands=None) as run:
        run.ready(observer)
        parts = json.loads(observer.last["homeassistant/device/truesight_door/config"])["components"]
        assert parts["armed"] == {"platform": "switch"}
        observer.publish(f"{ARMED}/set", "OFF")
        publish_alert(run.publisher, "door")
        run.until(lambda: bool(observer.of("truesight/door/event")), "the event, sent later than the command")
        assert observer.last[ARMED] == b"ON"
        assert run.who == []


def test_the_buttons_judge_the_event_in_the_picture(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        shown = publish_alert(run.publisher, "door", jpeg=b"shown")
        run.teacher.kept(event_of(120), shown.event_id)
        run.until(lambda: observer.last.get(f"{HERE}/snapshot") == b"shown", "the picture")
        publish_alert(run.publisher, "door", replace(QUIET, number=2), jpeg=b"quiet")
        run.until(lambda: len(observer.of(f"{HERE}/event")) == 2, "the quiet event")
        later = replace(event_of(200), started_at=2e9)
        run.teacher.kept(later, "e1-door-9")  # it notified, but MQTT has not shown it yet
        observer.publish(f"{LAST_EVENT}/set", "normal")
        run.answered(observer, f"event {shown.event_id} is normal")
        assert observer.last[f"{HERE}/snapshot"] == b"shown"


def test_each_refusal_is_answered_and_in_the_log(
    tmp_path: Path, broker: Mosquitto, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        for times in (1, 2):
            observer.publish(f"{BUDGET}/set", "0")
            run.until(lambda times=times: len(refusals(observer)) == times, "one more answer")  # type: ignore[misc]
    assert caplog.text.count("a command is refused: door: the budget cannot be set") == 2


def refusals(observer: Observer) -> list[bytes]:
    return [
        said for said in observer.of(ANSWER) if b"give a budget from 0.000001 to 1000000 false alarms per day" in said
    ]


def test_a_retained_command_is_refused_also_while_connected(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    with TwoWay(tmp_path, broker.port, protocol="5") as run:
        run.ready(observer)
        observer._client.publish(f"{ARMED}/set", "OFF", qos=1, retain=True).wait_for_publish(DEADLINE_S)
        run.answered(observer, "a retained command is ignored: publish it without retain")
        assert observer.last[ARMED] == b"ON"


def test_a_forgotten_camera_s_picture_goes_from_the_broker(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    with TwoWay(tmp_path, broker.port) as run:
        run.ready(observer)
        publish_alert(run.publisher, "door", jpeg=b"shown")
        run.until(lambda: observer.last.get(f"{HERE}/last_alert", b"None") != b"None", "the alert")
        gone = [sink.forget("door") for sink in run.sinks if isinstance(sink, MqttLiveSink | Outbox)]
        assert len(gone) == 2
        run.until(lambda: all(each() for each in gone), "all have forgotten")
        run.until(lambda: observer.last[f"{HERE}/snapshot"] == b"", "no picture")
        run.until(lambda: observer.last[f"{HERE}/last_alert"] == b"None", "no last alert")
