"""Memories that grow in the main loop: what is sent, what takes over, and what happens when the process dies."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import ModelError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.growing import RESTART_S, START_S, Growing, GrowingPlan
from monitor.learning.memory_link import MemoryLink
from monitor.learning.memory_messages import Message
from monitor.model.model_store import Model
from monitor.states import CameraState
from monitor.testing.captured import eventually
from monitor.testing.fakes import brightness_model, monitor_of, scored
from monitor.testing.scripted import Clock
from monitor.types import Health


class Link(MemoryLink):
    """Stands in for the process."""

    def __init__(self, _: Path) -> None:
        self.dropped = 0
        self.sent: list[Message] = []
        self.lines: list[dict[str, Any]] = []
        self.died: str | None = None
        self.closed = False

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def take_lines(self) -> list[dict[str, Any]]:
        lines, self.lines = self.lines, []
        return lines

    @property
    def ended(self) -> str | None:
        return self.died

    def close(self) -> None:
        self.closed = True


class Run:
    """One camera in a main loop."""

    def __init__(self, *, broken: bool = False) -> None:
        self.clock, self.links = Clock(), list[Link]()
        self.adopted: list[str] = []
        self.settings: object = object()
        self.loads = 0
        self._broken = broken
        self.growing = Growing(Path("memories"), self._load, lambda: self.settings, self.clock, self._link)
        self.growing.begin(GrowingPlan("door", Path("models/door"), (160, 96)))

    def _link(self, folder: Path) -> Link:
        self.links.append(Link(folder))
        return self.links[-1]

    def _load(self, _: GrowingPlan) -> tuple[Model, CameraMonitor]:
        self.loads += 1
        if self.loads == 1:
            self.settings = object()  # a reload while it is loaded
        if self._broken:
            raise ModelError("the model is damaged")
        return brightness_model(), monitor_of("door")

    def tick(self) -> None:
        self.growing.tick(lambda name, _model, _monitor: self.adopted.append(name))

    def ticked(self) -> list[str]:
        """What has been taken over so far, after another turn of the main loop."""
        self.tick()
        return self.adopted

    def after(self, seconds: float) -> Link:
        self.clock.now += seconds
        self.tick()
        return self.links[-1]


def test_a_short_run_starts_no_process() -> None:
    run = Run()
    run.tick()
    assert run.links == []
    assert [message.kind for message in run.after(START_S).sent] == ["begin"]


def test_frames_and_alarms_are_sent_but_no_frame_that_is_not_scored() -> None:
    run, monitor = Run(), monitor_of("door")
    link = run.after(START_S)
    levels = [25] * 30 + [200] * 30 + [25] * 60
    for number, level in enumerate(levels):
        judgement = monitor.update(scored(number / 10, level))
        renamed = replace(judgement.scored, frame=replace(judgement.scored.frame, camera="door"))
        run.growing.take(replace(judgement, scored=renamed))
        for alert in judgement.alerts:
            run.growing.alert(alert)
    dark = Health(CameraState.DARK, scored=False)
    unscored = replace(renamed, frame=replace(renamed.frame, health=dark))
    run.growing.take(replace(judgement, scored=unscored))
    kinds = [message.kind for message in link.sent]
    assert kinds.count("look") == len(levels)
    assert [kind for kind in kinds if kind not in ("look", "begin")] == ["began", "ended"]
    began = next(message for message in link.sent if message.kind == "began")
    assert began.values["time_s"] == pytest.approx(3.0, abs=0.5)
    assert link.sent[1].values["scores"] == {"brightness": pytest.approx(0.1, abs=0.01)}
    run.growing.end("door")
    assert link.sent[-1].kind == "end"


def test_a_camera_that_leaves_is_written_when_the_process_says_so_or_has_died() -> None:
    run = Run()
    link = run.after(START_S)
    run.growing.end("door")
    assert not run.growing.is_written("door")
    link.lines.append({"camera": "door", "ended": True})
    run.tick()
    assert run.growing.is_written("door")
    run.growing.begin(GrowingPlan("door", Path("models/door"), (160, 96)))
    run.growing.end("door")
    assert not run.growing.is_written("door")
    link.died = "SIGKILL"
    run.tick()
    assert run.growing.is_written("door"), "there is nothing to wait for"


def test_a_version_takes_over_and_is_loaded_again_if_the_settings_changed() -> None:
    run = Run()
    link = run.after(START_S)
    link.lines.append({"camera": "door", "say": "version v0002", "version": "models/door/v0002"})
    assert eventually(lambda: run.ticked() == ["door"])
    assert run.loads == 2


def test_a_version_that_cannot_be_loaded_is_said(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(broken=True)
    run.after(START_S).lines.append({"camera": "door", "version": "models/door/v0002"})
    assert eventually(lambda: not run.ticked() and "is damaged" in caplog.text)
    assert run.adopted == []


def test_a_process_that_died_is_started_again_later_and_later(caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    run.after(START_S).died = "SIGKILL"
    with caplog.at_level(logging.WARNING):
        run.tick()
    assert "ended with SIGKILL; it is started again in 60 s" in caplog.text
    assert run.links[0].closed
    run.after(RESTART_S - 1)
    assert len(run.links) == 1
    again = run.after(1)
    assert len(run.links) == 2
    assert [message.kind for message in again.sent] == ["begin"]
    again.died = "SIGKILL"
    run.tick()
    run.after(RESTART_S)
    assert len(run.links) == 2
    run.after(RESTART_S)
    assert len(run.links) == 3


def test_what_is_dropped_is_said_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    link = run.after(START_S)
    for dropped in (1, 2, 3):
        link.dropped = dropped
        run.tick()
    assert caplog.text.count("learning on is too slow") == 1
    run.after(3600)
    assert "2 frames" in caplog.text


def test_a_model_without_movement_has_no_plan() -> None:
    assert GrowingPlan.of(Path("models/door"), brightness_model(), monitor_of("door")) is None
