"""What people choose for a camera is kept by the run, and holds in the engine that watches it, now or later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.alerts.control import Arm, Budget
from monitor.app.choice_store import Choice
from monitor.app.engines.engine_messages import Ask, Chosen, Facts, Replied
from monitor.app.engines.front_calls import ANSWERED_S
from monitor.teaching.verdict_store import VerdictStore
from tests.monitor.app.engines.test_front_desk import Asked


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Asked]:
    with VerdictStore(tmp_path / "taught.sqlite3") as store:
        yield Asked(tmp_path, store)


def chosen(lab: Asked) -> list[tuple[int, Chosen]]:
    return [(engine, message) for engine, message in lab.sent if isinstance(message, Chosen)]


def obeying(lab: Asked, arm: Arm | Budget) -> str:
    """The reply to a request, which the engine obeys as soon as it is told."""
    original = lab.send

    def send(engine: int, message: object) -> None:
        original(engine, message)
        if isinstance(message, Chosen):
            lab.say(engine, Replied(message.number, b""))

    lab.front_desk.calls._send = send
    return lab.ask(arm).said


def test_a_choice_is_kept_and_answered_once_its_engine_obeys(lab: Asked) -> None:
    assert "yard is disarmed" in obeying(lab, Arm(camera="yard", armed=False))
    assert [(engine, each.camera, each.choice) for engine, each in chosen(lab)] == [(2, "yard", Choice(armed=False))]
    assert lab.store.of("yard") == Choice(armed=False)
    obeying(lab, Budget(camera="yard", per_day=3.0))
    assert chosen(lab)[-1][1].choice == Choice(armed=False, per_day=3.0), "nothing else that was chosen is lost"
    assert not any(isinstance(message, Ask) for _, message in lab.sent)


def test_a_choice_holds_also_if_its_engine_does_not_answer_or_ends(lab: Asked) -> None:
    began = lab.clock.now
    assert "does not answer" in lab.ask(Arm(camera="door", armed=False)).said
    assert lab.clock.now - began >= ANSWERED_S
    assert lab.store.of("door") == Choice(armed=False)
    lab.kill(2)
    assert "yard is disarmed" in lab.ask(Arm(camera="yard", armed=False)).said, "its next engine begins with it"
    assert "no camera gate is watched (cameras: door, yard)" in lab.ask(Arm(camera="gate", armed=True)).said


def test_what_is_known_of_a_camera_is_what_its_engine_has_told_last(lab: Asked) -> None:
    camera = lab.cameras.get("yard")
    assert camera is not None
    assert camera.model is None
    lab.say(1, Facts("yard", own_model=False, model="of another", size=None))
    lab.say(2, Facts("yard", own_model=True, model="m1", size=(640, 360)))
    camera = lab.cameras.get("yard")
    assert camera is not None
    assert (camera.own_model, camera.model, camera.size, camera.live) == (True, "m1", (640, 360), True)
    lab.kill(2)
    assert [each.model for each in lab.cameras] == [None, None]
    seat = lab.front.seats.get("yard")
    assert seat is not None
    seat.leaving = True
    assert lab.cameras.get("yard") is None
    assert [each.name for each in lab.cameras] == ["door"]
