"""Clients' requests reach the engine that watches the camera, and its reply reaches the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.alerts.control import (
    Budget,
    Changes,
    ControlReply,
    ControlRequest,
    Feedback,
    Name,
    Verdicts,
    decode_reply,
    decode_request,
)
from monitor.alerts.control_desk import Asker, Desk, Done
from monitor.alerts.messages import encode
from monitor.app.changed_run import ChangedRun
from monitor.app.choice_store import ChoiceStore
from monitor.app.choosing import Choosing
from monitor.app.config import MonitorConfig
from monitor.app.engines.engine_messages import Ask, ForgetParts, Forgotten, Ready, Replied, Taught, Tick
from monitor.app.engines.front_calls import ANSWERED_S
from monitor.app.engines.front_cameras import SeatCameras
from monitor.app.engines.front_desk import FrontDesk
from monitor.errors import RunError, UsageError
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.fleet import Fleet
from monitor.live.pipeline import Pipeline
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.testing.sink_contract import report_of
from tests.helpers.teachable import event_of
from tests.monitor.app.engines.test_front import Lab

ASKER = Asker("127.0.0.1:1")


class Asked(Lab):
    """A run with the cameras door and yard in an engine each, and a file of verdicts."""

    def __init__(self, folder: Path, store: VerdictStore) -> None:
        super().__init__("door", "yard", engines=2)
        for engine, camera in ((1, "door"), (2, "yard")):
            self.say(engine, Ready(0), Tick(0, (report_of(camera),), {}, 0, (), ()))
        self.teacher = Teacher(store, Fleet(Pipeline()), CalibrationStore(folder / "calibrations"))
        self.desk = Desk("lab", "epoch")
        self.front_desk = FrontDesk(self.front, self.send, self.teacher, store, self.clock)
        self.front_desk.serve_at(self.desk)
        self.store = ChoiceStore(folder / "choices.json")
        self.settings = MonitorConfig().with_choices(self.store)
        self.cameras = SeatCameras(self.front, self.front_desk.calls, self.store)
        self.run = ChangedRun(self.store, self.cameras, lambda: self.settings, None)
        Choosing(self.run, self.front_desk.what_if).serve_at(self.desk)

    def ask(self, request: ControlRequest, then: Callable[[int, Ask], None] | None = None) -> ControlReply:
        """The reply to a request. then: what the engine that is asked does; None: nothing, and time passes."""
        steps = self.desk.answer(encode(request), ASKER)
        asked = len(self.sent)
        try:
            while True:
                next(steps)
                for engine, message in self.sent[asked:]:
                    if isinstance(message, Ask) and then is not None:
                        then(engine, message)
                asked = len(self.sent)
                self.clock.now += 1.0
        except StopIteration as ended:
            return decode_reply(ended.value)

    def answered(self, said: Callable[[ControlRequest], Done]) -> Callable[[int, Ask], None]:
        """An engine answers with the desk of its own."""

        def then(engine: int, ask: Ask) -> None:
            own = Desk("lab", "epoch")
            for kind in (Budget, Feedback):
                own.serve(kind, lambda request, _: Done(f"{engine}: {said(request).said}"))
            steps = own.answer(ask.payload, ask.asker)
            with pytest.raises(StopIteration) as ended:
                next(steps)
            self.say(engine, Replied(ask.number, ended.value.value))

        return then


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Asked]:
    with VerdictStore(tmp_path / "taught.sqlite3") as store:
        yield Asked(tmp_path, store)


def test_a_request_about_an_event_is_answered_by_the_engine_of_its_camera(lab: Asked) -> None:
    lab.teacher.kept(event_of(200, "yard"), "e-yard-1")
    asked = Feedback(event="e-yard-1", verdict="cat", tag="7")
    reply = lab.ask(asked, lab.answered(lambda _: Done("a cat")))
    assert (reply.reply, reply.said, reply.tag) == ("ok", "2: a cat", "7")
    (ask,) = [message for _, message in lab.sent if isinstance(message, Ask)]
    assert decode_request(ask.payload) == asked
    changes = lab.ask(Changes()).data["changes"]
    assert [change["said"] for change in changes] == ["2: a cat"], "recorded once, by the run"


def test_another_budget_is_tried_by_the_engine_of_the_camera_and_changes_nothing(lab: Asked) -> None:
    asked = Budget(camera="yard", per_day=None, preview=True)
    assert lab.ask(asked, lab.answered(lambda _: Done("one alarm less"))).said == "2: one alarm less"
    (ask,) = [message for _, message in lab.sent if isinstance(message, Ask)]
    assert decode_request(ask.payload) == Budget(camera="yard", per_day=1.0, preview=True)
    lab.kill(2)
    assert lab.ask(asked).said == "yard is not watched now, so another budget cannot be tried: set it untried"
    assert not lab.store.choices


def test_a_verdict_reaches_the_engine_of_the_event_s_camera_and_is_counted(lab: Asked) -> None:
    lab.teacher.kept(event_of(200, "door"), "e-door-1")
    reply = lab.ask(Feedback(event="e-door-1", verdict="normal"), lab.answered(lambda _: Done("is normal")))
    assert reply.said == "1: is normal"
    assert lab.teacher.given["normal"] == 1
    assert "no event nonsense is kept" in lab.ask(Feedback(event="nonsense", verdict="normal")).said


def test_an_engine_that_refuses_ends_or_does_not_answer_is_an_error_that_says_so(lab: Asked) -> None:
    def refuse(_: ControlRequest) -> Done:
        raise UsageError("the config file sets the budget")

    asked = Budget(camera="door", per_day=2.0, preview=True)
    reply = lab.ask(asked, lab.answered(refuse))
    assert (reply.reply, reply.said, reply.data) == ("error", "the config file sets the budget", {})

    def full(_: ControlRequest) -> Done:
        raise RunError("the disk is full: free space")

    reply = lab.ask(asked, lab.answered(full))
    assert (reply.reply, reply.said, reply.data) == ("error", "the disk is full: free space", {"temporary": True})
    began = lab.clock.now
    assert "does not answer" in lab.ask(asked).said
    assert lab.clock.now - began >= ANSWERED_S
    assert "has ended" in lab.ask(asked, lambda engine, _: lab.kill(engine)).said


def test_what_holds_for_all_cameras_reaches_all_engines(lab: Asked) -> None:
    lab.teacher.kept(event_of(200, "gone"), "e-gone-1")
    assert lab.ask(Feedback(event="e-gone-1", verdict="cat")).reply == "ok", "no engine watches it: it is kept"
    assert lab.ask(Name(name="cat", alert="never")).reply == "ok"
    assert [engine for engine, message in lab.sent if isinstance(message, Taught)] == [1, 2]
    assert len(lab.ask(Verdicts()).data["verdicts"]) == 1
    lab.front_desk.forgotten("yard", thresholds=True)
    assert lab.sent[-1] == (2, Forgotten("yard", thresholds=True))


def test_every_engine_forgets_what_it_holds_of_a_camera(lab: Asked) -> None:
    gone = lab.front_desk.forget_moments("yard", 1.0, 2.0)
    asked = lab.sent[-2:]
    assert [engine for engine, _ in asked] == [1, 2], "it may have watched the camera before"
    for engine, message in asked:
        assert isinstance(message, ForgetParts)
        assert (message.camera, message.moments, message.memory) == ("yard", (1.0, 2.0), False)
        assert not gone()
        lab.say(engine, Replied(message.number, b""))
    assert gone()
    lab.front_desk.forget_normal("yard", 1.0, 2.0)
    assert [getattr(message, "normal", None) for _, message in lab.sent[-2:]] == [(1.0, 2.0)] * 2
    lab.front_desk.forget_memory("yard")
    assert [getattr(message, "memory", False) for _, message in lab.sent[-2:]] == [True, True]
