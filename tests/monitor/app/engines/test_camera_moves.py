"""Cameras move from an engine that is overloaded, and a reload changes all engines or none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.engines.balance import Move
from monitor.app.engines.camera_moves import CameraMoves
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import Applied, Decided, Left, Plan, Ready, Refused, Tick
from monitor.errors import ModelError, MonitorError
from monitor.states import CameraState
from monitor.testing.fakes import LevelSource
from monitor.testing.sink_contract import report_of
from tests.monitor.app.engines.test_front import Lab


class Moving(Lab):
    """Two engines with two live cameras each: a and c in the first, b and d in the second."""

    def __init__(self) -> None:
        super().__init__("a", "b", "c", "d", engines=2)
        self.moves = CameraMoves(self.front, MonitorConfig(), self.send, self.clock, look_s=30.0)
        for engine, cameras, busy in ((1, "ac", 0.0), (2, "bd", 0.0)):
            self.say(engine, Ready(0))
            self.work(engine, cameras, busy)
        assert self.front.begun

    def work(self, engine: int, cameras: str, busy_s: float) -> None:
        reports = tuple(report_of(camera) for camera in cameras)
        self.say(engine, Tick(0, reports, dict.fromkeys(cameras, busy_s), 0, (), ()))

    def plans(self, engine: int) -> list[Plan]:
        return [message for to, message in self.sent if to == engine and isinstance(message, Plan)]

    def permitted(self, engine: int, number: int) -> bool:
        return (engine, Decided(number, carry_out=True)) in self.sent

    def carry_out(self, engine: int, removed: tuple[str, ...] = (), added: tuple[str, ...] = ()) -> None:
        number = self.plans(engine)[-1].number
        self.say(engine, Ready(number))
        assert self.permitted(engine, number)
        self.say(engine, Applied(number, added, removed, (), 1, ""))


def names(plan: Plan) -> list[str]:
    return [carried.inner.name for carried in plan.sources]


def test_a_camera_of_an_overloaded_engine_moves_with_what_was_counted_of_it() -> None:
    lab = Moving()
    lab.clock.now += 31.0
    lab.work(1, "ac", 14.0)
    lab.work(2, "bd", 2.0)
    lab.moves.tick()
    assert [names(plan) for plan in lab.plans(1)] == [["c"]], "a leaves"
    assert lab.plans(1)[0].moves
    assert (lab.heard.states[-1].name, lab.heard.states[-1].state) == ("a", CameraState.CONNECTING)
    lab.carry_out(1, removed=("a",))
    assert not lab.plans(2), "its memory is not written yet"
    lab.say(1, Left("a", [(600.0, 2, 0.0)], 7))
    assert lab.restarted == ["a"]
    assert names(lab.plans(2)[0]) == ["b", "d", "a"]
    lease = lab.plans(2)[0].leases[-1]
    assert (lease.camera, lease.events, list(lease.counted)) == ("a", 7, [(600.0, 2, 0.0)])
    lab.carry_out(2, added=("a",))
    assert not lab.moves.busy
    assert [seat.engine for seat in lab.front.seats] == [2, 2, 1, 2]
    assert not lab.heard.gone, "to the sinks, it was there all the time"


@pytest.mark.parametrize("moment", ["prepares", "leaves", "arrives"])
def test_a_camera_is_watched_again_if_one_of_the_two_engines_ends_while_it_moves(moment: str) -> None:
    lab = Moving()
    lab.moves.move(Move("a", 1, 2))
    if moment == "prepares":
        lab.kill(1)
    elif moment == "leaves":
        lab.carry_out(1, removed=("a",))
        lab.kill(1)
    else:
        lab.carry_out(1, removed=("a",))
        lab.say(1, Left("a", (), 0))
        lab.kill(2)
    lab.front.tick()
    assert lab.moves.busy, "an engine starts"
    for number, *_ in lab.started[2:]:
        lab.say(number, Ready(0))
    assert not lab.moves.busy
    started = [name for _, cameras, _, _ in lab.started[2:] for name in cameras]
    assert sorted(started) == (["a", "c"] if moment != "arrives" else ["a", "b", "d"])
    assert not any(seat.moving for seat in lab.front.seats)


def sources(*cameras: str) -> list[CarriedSource]:
    return [CarriedSource(LevelSource(name, [25], live=True)) for name in cameras]


def test_a_reload_gives_a_new_camera_to_an_engine_and_takes_one_away() -> None:
    lab = Moving()
    told: list[tuple[Sequence[Applied], MonitorError | None]] = []
    settings = MonitorConfig(analysis_fps=5.0)
    lab.moves.reload(settings, sources("b", "c", "d", "e"), lambda *done: told.append(done))
    assert (names(lab.plans(1)[0]), names(lab.plans(2)[0])) == (["c", "e"], ["b", "d"])
    for engine, plan in ((1, lab.plans(1)[0]), (2, lab.plans(2)[0])):
        lab.say(engine, Ready(plan.number))
    lab.say(1, Applied(1, ("e",), ("a",), ("c",), 0, ""), Left("a", (), 0))
    lab.say(2, Applied(1, (), (), ("b", "d"), 0, ""))
    assert [(len(applied), error) for applied, error in told] == [(2, None)]
    assert lab.moves.settings is settings
    assert [seat.name for seat in lab.front.seats] == ["b", "c", "d", "e"]


def test_a_reload_that_one_engine_refuses_changes_nothing() -> None:
    lab = Moving()
    told: list[str] = []
    lab.moves.reload(MonitorConfig(), sources("a", "b", "c", "d", "e"), lambda _, error: told.append(str(error)))
    lab.say(1, Ready(1))
    lab.say(2, Refused(1, ModelError("the model is damaged")))
    assert told == ["the model is damaged"]
    assert (1, Decided(1, carry_out=False)) in lab.sent
    assert not lab.permitted(1, 1)
    assert [seat.name for seat in lab.front.seats] == ["a", "b", "c", "d"]
    assert not lab.moves.busy
