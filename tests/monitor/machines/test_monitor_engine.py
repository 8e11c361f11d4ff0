"""What the engine of a node does before it opens a camera."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from monitor.machines import monitor_engine
from monitor.machines.fleet_messages import Order
from monitor.machines.leases import boot_clock
from monitor.machines.monitor_engine import MonitorEngine


class Place:
    """Keeps what is chosen, if there is room."""

    def __init__(self) -> None:
        self.full, self.kept = False, dict[str, str]()

    def choice(self, camera: str) -> str:
        return self.kept.get(camera, "")

    def take_choice(self, camera: str, choice: str) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.kept[camera] = choice


def test_a_camera_is_not_opened_without_its_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[float] = []
    monkeypatch.setattr(MonitorEngine, "_start", lambda _, now: started.append(now))
    monkeypatch.setattr(monitor_engine, "AGAIN_S", 0.0)
    place = Place()
    engine = MonitorEngine(tmp_path, "", boot_clock, choices=place)
    order = Order(epoch=5, role="standby", source="rtsp://gate", fps=5.0, choice="masks")
    place.full = True
    engine.open("gate", order)
    for _ in range(3):
        engine.pump()
        assert engine.state_of("gate") == "failed", "so that another node opens it"
    assert not started
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("gate is not opened, because what people have chosen for it, masks too, cannot be stored")
    place.full = False
    engine.pump()
    assert (engine.state_of("gate"), place.kept, len(started)) == ("opening", {"gate": "masks"}, 1)
    place.full = True
    engine.choose("gate", order.model_copy(update={"choice": "more masks"}))
    engine.pump()
    assert engine.state_of("gate") == "failed"
    assert len(started) == 1, "and it is closed"
    engine.let_go("gate")
    engine.pump()
    assert engine.state_of("gate") == "opening", "nothing is left of it"


def test_what_is_chosen_elsewhere_is_taken_until_people_choose_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MonitorEngine, "_start", lambda *_: None)
    place = Place()
    engine = MonitorEngine(tmp_path, "", boot_clock, choices=place)
    orders = [Order(epoch=5, role="active", source="rtsp://gate", fps=5.0, choice=choice) for choice in "abcd"]
    engine.open("gate", orders[0])
    engine.choose("gate", orders[1])  # chosen just before the camera went over, and told just after
    assert place.kept == {"gate": "b"}
    engine.asked("gate")
    place.kept["gate"] = "d"
    engine.choose("gate", orders[2])
    assert place.kept == {"gate": "d"}, "what comes late is older"
    engine.let_go("gate")
    engine.open("gate", orders[2])
    assert place.kept == {"gate": "c"}
