"""A better version takes over from the first, and goes if it turns out worse."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning import learner_process
from monitor.learning.coordinator import Learning
from monitor.learning.footage import is_footage
from monitor.learning.learning_plan import LearningPlan
from monitor.learning.takeover import Takeover
from monitor.model.model_store import Model, save_model
from monitor.model.model_versions import version_folders, version_number
from monitor.scores.smoothing import SmoothingSettings
from monitor.states import CameraState
from monitor.testing.captured import eventually
from monitor.testing.fakes import Brightness, brightness_model, brightness_scale, held_out, provenance, scored
from monitor.testing.scripted import Clock

CALM, ODD = 10, 60
FIRST, BETTER = 0.3, 0.04
"""Levels that two versions learned: the second alarms at what the first finds usual."""


def monitor(level: float) -> CameraMonitor:
    scale = brightness_scale(brightness_model(level))
    return CameraMonitor("door", scale, SmoothingSettings(), AlertSettings(cooldown_s=0))


def levels(episodes: int) -> list[int]:
    return ([CALM] * 30 + [ODD] * 15 + [CALM] * 15) * episodes


class Run:
    """A camera that learns two versions. The second is written when the first has taken over."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan = LearningPlan("door", "door", folder / "door", 20.0, ("brightness",))
        self._write(1)
        reports = [json.dumps({"version": str(self.plan.folder / f"v000{number}")}) for number in (1, 2)]
        script = f"print({chr(10).join(reports)!r}, flush=True)"
        self.commands: list[tuple[str, ...]] = []

        def command(*arguments: str) -> list[str]:
            self.commands.append(arguments)
            return [sys.executable, "-S", "-c", script]

        monkeypatch.setattr(learner_process, "child_command", command)
        self.adopted: list[str] = []
        self.judge: CameraMonitor | None = None
        self.second = BETTER
        self.learning = Learning((self.plan,), self._load, Clock())
        self.learning._learners["door"].recorder.seen_s = 20.0

    def _write(self, number: int) -> None:
        save_model(self.plan.folder / f"v000{number}", "door", [Brightness()], held_out(), provenance())

    def refined(self) -> bool:
        """Whether both versions have taken over and the process has ended."""
        return self.tick(2) and self.learning._learners["door"].process is None

    def _load(self, plan: LearningPlan) -> tuple[Model, CameraMonitor]:
        number = version_number(version_folders(plan.folder)[0])
        return brightness_model(digit=str(number)), monitor(FIRST if number == 1 else self.second)

    def adopt(self, _: str, model: Model, judge: CameraMonitor) -> CameraMonitor | None:
        before, self.judge = self.judge, judge
        if before is None:
            self._write(2)
        self.adopted.append(model.hash)
        return before

    def tick(self, adopted: int) -> bool:
        self.learning.tick(lambda _: CameraState.ONLINE, self.adopt)
        return len(self.adopted) == adopted

    def watch(self, shown: list[int], from_s: float = 0.0) -> None:
        assert self.judge is not None
        for number, level in enumerate(shown):
            made = scored(from_s + number / 10, level)
            own = replace(made, frame=replace(made.frame, camera="door"))
            self.learning.judged(self.judge.update(own))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    made = Run(tmp_path, monkeypatch)
    yield made
    made.learning.close()


def test_a_version_that_turns_out_worse_goes_and_the_first_judges_again(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    assert eventually(run.refined, within_s=10)
    run.watch(levels(2))
    assert run.tick(2), "two alarms may be real"
    run.watch(levels(1), from_s=20.0)
    assert eventually(lambda: run.tick(3), within_s=10)
    folder = run.plan.folder
    assert run.adopted == ["1" * 64, "2" * 64, "1" * 64]
    assert (folder / "worse-v0002").is_dir()
    assert "went back to the version before v0002" in caplog.text
    assert "it raised 3 alarms, the version before it would have raised 0" in caplog.text
    run.watch(levels(9), from_s=40.0)
    run.tick(3)
    assert len(run.adopted) == 3, "the first version is on no probation"


def test_a_version_that_is_no_worse_stays(run: Run) -> None:
    run.second = FIRST
    assert eventually(run.refined, within_s=10)
    run.watch(levels(5))
    assert run.tick(2)
    assert [version.name for version in version_folders(run.plan.folder)] == ["v0002", "v0001"]


def test_other_settings_end_the_comparison(run: Run) -> None:
    assert eventually(run.refined, within_s=10)
    run.judge = monitor(BETTER)
    run.watch(levels(9))
    assert run.tick(2)


def test_the_process_that_learns_is_told_where_the_watched_footage_is_and_at_what_budget(run: Run) -> None:
    assert eventually(lambda: run.tick(1), within_s=10)
    (command,) = run.commands
    assert command[command.index("--watched") + 1] == str(run.plan.watched)
    assert command[command.index("--false-alarms-per-day") + 1] == "1.0"


def test_what_is_watched_is_recorded_until_the_better_version_judges(tmp_path: Path) -> None:
    plan = LearningPlan("door", "door", tmp_path / "door", 20.0, ("brightness",))
    takeover, first = Takeover(plan), monitor(FIRST)
    takeover.took_over(plan.folder / "v0001", first, None)
    takeover.record()
    for number in range(5):
        takeover.take(first.update(scored(number / 10, CALM)))
    assert eventually(lambda: is_footage(plan.watched), within_s=10)
    takeover.took_over(plan.folder / "v0002", monitor(BETTER), first)
    assert not plan.watched.exists()
    takeover.close()
