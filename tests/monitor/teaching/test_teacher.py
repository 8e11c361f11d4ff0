"""Verdicts change what a camera's chain is given: at once, after a restart, with a new model, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.alerts.control import (
    Changes,
    ControlReply,
    ControlRequest,
    Feedback,
    Name,
    Preview,
    Undo,
    Verdicts,
    decode_reply,
)
from monitor.alerts.control_desk import Asker, Desk
from monitor.alerts.messages import encode
from monitor.judging.camera_monitor import Alert
from monitor.judging.live_calibration import LEAST_BLOCKS, Peaks
from monitor.judging.scorer import Scorer
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.model.model_store import Model
from monitor.states import Phase
from monitor.teaching.lessons_applied import taught_model
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.testing.fakes import LevelSource, frame
from monitor.text.durations import local_time
from tests.helpers.teachable import event_of, monitor_that_learns_on, shown, teachable_model

ME = Asker("127.0.0.1")


class House:
    """A fleet with one camera, a teacher, and the desk where it serves."""

    def __init__(self, store: VerdictStore, folder: Path, model: Model | None = None) -> None:
        self.model = model or teachable_model()
        monitor = monitor_that_learns_on("door", self.model)
        camera = Camera(LevelSource("door", []), self.model, CaptureSettings(), monitor)
        self.fleet = Fleet(Pipeline(), [camera])
        self.store = store
        self.teacher = Teacher(store, self.fleet, CalibrationStore(folder / "calibrations"))
        self.desk = Desk("lab", "e1")
        self.teacher.serve_at(self.desk)
        self.teacher.added(monitor)
        self.teacher.apply()

    @property
    def camera(self) -> Camera:
        member = self.fleet.get("door")
        assert member is not None
        return member.camera

    def ask(self, request: ControlRequest) -> ControlReply:
        steps = self.desk.answer(encode(request), ME)
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                return decode_reply(ended.value)

    def keep(self, alert: Alert, number: int = 1) -> str:
        event_id = f"e1-{alert.camera}-{number}"
        self.teacher.kept(alert, event_id)
        return event_id

    def starts(self, level: int) -> list[Alert]:
        """The events that the camera raises now for a light of this level."""
        monitor = monitor_that_learns_on("door", self.camera.model)
        assert self.camera.monitor is not None
        monitor.prototypes = self.camera.monitor.prototypes
        alerts = shown(self.camera.model, monitor, [25] * 3 + [level] * 3 + [25] * 4)
        return [alert for alert in alerts if alert.event.phase is Phase.START]


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    with VerdictStore(folder / "taught") as store:
        yield House(store, folder)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as made:
        yield made


def test_what_is_normal_is_silent_from_then_on_and_something_else_is_not(house: House) -> None:
    event = event_of(200)
    event_id = house.keep(event)
    assert house.starts(200)
    assert house.starts(120)
    reply = house.ask(Feedback(event=event_id, verdict="Normal", all_hours=True))
    assert reply.said == (
        f"door: event {event_id} is normal; similar events are normal in this place at any hour from now on; it began "
        f"{local_time(event.started_at)}"
    )
    assert house.starts(200) == []
    assert house.starts(120), "something else"
    assert house.camera.model.id == house.model.id, "the calibration stays"


def test_it_holds_after_a_restart_and_with_a_model_learned_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        event_id = house.keep(event_of(200))
        house.ask(Feedback(event=event_id, verdict="normal", all_hours=True))
    with opened(tmp_path) as house:
        assert house.starts(200) == []
        anew = replace(teachable_model(), hash="1" * 64)
        monitor = monitor_that_learns_on("door", anew)
        house.fleet.replace(replace(house.camera, model=anew, monitor=monitor))
        house.teacher.added(monitor)
        house.teacher.apply()
        assert house.camera.model.id == anew.id
        assert house.starts(200) == []


def test_undo_takes_it_back(house: House) -> None:
    event_id = house.keep(event_of(200))
    house.ask(Feedback(event=event_id, verdict="normal"))
    assert house.ask(Undo(event=event_id)).said.startswith(f"door: event {event_id} is no longer normal; it began ")
    assert house.starts(200)
    assert house.camera.model is not None
    assert house.camera.model.detectors[0] is house.model.detectors[0]
    assert house.ask(Undo(event=event_id)).said.endswith("there is nothing to undo")


def test_the_last_event_that_notified_is_the_last_of_its_camera(house: House) -> None:
    assert house.ask(Feedback(event="last", verdict="real", camera="door")).said == (
        "door has no event that notified: give the id of an event"
    )
    event = event_of(200)
    house.keep(event, 1)
    house.keep(replace(event, started_at=event.started_at + 5.0), 2)
    quiet = replace(event, started_at=event.started_at + 9.0, event=replace(event.event, notify=False))
    house.keep(quiet, 3)
    assert house.ask(Feedback(event="e1-door-1", verdict="cyclist")).reply == "ok"
    reply = house.ask(Feedback(event="last", verdict="real", camera="door"))
    began = local_time(event.started_at + 5.0)
    assert (reply.data["event"], reply.said) == ("e1-door-2", f"door: event e1-door-2 is real; it began {began}")
    assert house.teacher.given == {"normal": 0, "real": 1, "named": 1}
    assert house.ask(Feedback(event="last", verdict="real")).said.endswith("name it with --camera")


def test_the_last_verdict_is_undone(house: House) -> None:
    for number in (1, 2):
        house.keep(event_of(200), number)
    house.ask(Feedback(event="e1-door-2", verdict="real"))
    house.ask(Feedback(event="e1-door-1", verdict="real"))
    assert house.ask(Undo(event="last")).said.endswith("name it with --camera")
    assert house.ask(Undo(event="e1-door-1", camera="yard")).said == "event e1-door-1 is of camera door, not of yard"
    said = [house.ask(Undo(event="last", camera="door")).said.partition("; it began")[0] for _ in range(3)]
    assert said == [
        "door: event e1-door-1 is no longer real",
        "door: event e1-door-2 is no longer real",
        "nobody has said anything about events of door: there is nothing to undo",
    ]


def test_a_normal_verdict_holds_around_its_hour_unless_it_is_for_all(house: House) -> None:
    event = event_of(200)
    assert event.traits is not None
    assert event.traits.hours is not None
    noon = replace(event.traits, hours=(12.0, 12.1))
    event_id = house.keep(replace(event, traits=noon))
    reply = house.ask(Feedback(event=event_id, verdict="normal", scope="picture"))
    assert "similar events are normal anywhere in the picture from 11:00 to 13:06 from now on; it began " in reply.said


def test_a_preview_counts_what_would_have_been_hidden_and_changes_nothing(house: House) -> None:
    import time

    now = time.time()
    for number, level in enumerate((200, 205, 120, 240), 1):
        house.keep(replace(event_of(level), started_at=now - 100 + number), number)
    house.keep(replace(event_of(200), started_at=now - 40 * 86_400), 9)
    reply = house.ask(Preview(event="e1-door-1", verdict="normal", all_hours=True))
    assert reply.said == "would have hidden 2 of 4 alarms of the last 30 days"
    assert reply.data == {"hits": 2, "alarms": 4, "events": ["e1-door-1", "e1-door-2"]}
    assert house.starts(200)
    assert house.ask(Verdicts()).data["verdicts"] == []


def test_the_later_of_two_verdicts_counts_and_says_so(house: House) -> None:
    event_id = house.keep(event_of(200))
    house.ask(Feedback(event=event_id, verdict="normal"))
    reply = house.ask(Feedback(event=event_id, verdict="real"))
    said = f"door: event {event_id} is real; it was normal until now; the later verdict counts; it began "
    assert reply.said.startswith(said)
    assert house.starts(200), "no longer normal"
    (only,) = house.ask(Verdicts(camera="door")).data["verdicts"]
    assert (only["verdict"], only["given_by"]) == ("real", "127.0.0.1")
    assert [change["by"] for change in house.ask(Changes()).data["changes"]] == ["127.0.0.1"] * 2


def test_what_cannot_be_judged_is_one_sentence(house: House) -> None:
    event_id = house.keep(event_of(200))
    gone = house.ask(Feedback(event="e1-door-77", verdict="normal"))
    assert gone.said.startswith(
        "no event e1-door-77 is kept: it never existed, it is about a lost camera, or it is gone"
    )
    other = house.ask(Feedback(event=event_id, verdict="normal", camera="yard"))
    assert other.said == f"event {event_id} is of camera door, not of yard"
    assert house.ask(Feedback(event=event_id, verdict="a\nb")).said == "a name must be printable text on one line"
    assert house.ask(Name(name="cyclist", alert="never")).said.startswith("no event is named 'cyclist' (no event has")
    assert all(reply.reply == "error" for reply in (gone, other))


def test_an_event_of_a_camera_that_is_not_watched_now_can_be_judged(house: House) -> None:
    event_id = house.keep(event_of(200, "yard"))
    assert house.ask(Feedback(event=event_id, verdict="normal")).reply == "ok"
    assert "is not watched now" in house.ask(Preview(event=event_id, verdict="normal")).said


def test_a_name_is_carried_by_what_is_alike_and_decides_if_it_notifies(house: House) -> None:
    event_id = house.keep(event_of(200))
    house.ask(Feedback(event=event_id, verdict="lamp"))
    assert house.ask(Name(name="lamp", alert="never")).said == "events named 'lamp' never notify from now on"
    assert house.ask(Verdicts()).data["names"] == {"lamp": "never"}
    monitor = house.camera.monitor
    assert monitor is not None
    assert monitor.prototypes is not None


def test_thresholds_take_a_normal_peak_in_full_and_a_real_one_not_at_all(house: House) -> None:
    monitor = house.camera.monitor
    assert monitor is not None
    calibration = monitor.calibration
    for number in range(LEAST_BLOCKS + 10):
        calibration.peaks["brightness"].add(0.12 + 0.005 * number, math.inf, number)
    calibration.peaks["brightness"].add(0.8, 0.3, LEAST_BLOCKS + 10)
    calibration.block = LEAST_BLOCKS + 11
    calibration.watched_s = 6 * 86_400.0
    calibration.calibrate(0)
    before = calibration.scale.scales["brightness"].threshold
    event = event_of(200)
    assert event.traits is not None
    event_id = house.keep(replace(event, traits=replace(event.traits, blocks=(LEAST_BLOCKS + 10, LEAST_BLOCKS + 10))))
    house.ask(Feedback(event=event_id, verdict="normal"))
    peaks = calibration.peaks["brightness"]
    assert peaks.limits[-1] == math.inf
    assert calibration.scale.scales["brightness"].threshold > before
    house.ask(Feedback(event=event_id, verdict="real"))
    assert peaks.highest[-1] < 0.25, "as usual"
    assert calibration.earned == 1
    assert calibration.scale.scales["brightness"].threshold < before
    house.ask(Undo(event=event_id))
    assert [peaks.highest[-1], peaks.limits[-1]] == pytest.approx([0.8, 0.3])
    assert calibration.earned == 0
    assert calibration.scale.scales["brightness"].threshold == pytest.approx(before)


def test_a_judgement_is_kept_with_the_thresholds_at_once(house: House, tmp_path: Path) -> None:
    monitor = house.camera.monitor
    assert monitor is not None
    monitor.calibration.peaks["brightness"] = Peaks([0.1, 0.8], [math.inf, 0.3], [4, 5])
    event = event_of(200)
    assert event.traits is not None
    event_id = house.keep(replace(event, traits=replace(event.traits, blocks=(5, 5))))
    house.ask(Feedback(event=event_id, verdict="normal"))
    again = CalibrationStore(tmp_path / "calibrations").load("door", monitor.scale, monitor.smoothing)
    assert again.peaks["brightness"].limits == [math.inf, math.inf]
    assert (again.peaks["brightness"].numbers, again.block) == ([4, 5], 6)


def test_a_model_that_is_taught_continues_the_streams_of_a_camera() -> None:
    event = event_of(200)
    assert event.traits is not None
    model = teachable_model()
    taught = taught_model(model, [event.traits.lesson(everywhere=False, all_hours=True)])
    assert taught is not model
    assert taught_model(taught, []).detectors == model.detectors
    scorer = Scorer({"cam": model})
    scorer.score([frame(0.0)])
    stream = scorer._streams["cam"][2][0]
    scorer.set_models({"cam": taught})
    scorer.score([frame(0.1)])
    assert scorer._streams["cam"][2][0] is stream
    assert stream == [2]
