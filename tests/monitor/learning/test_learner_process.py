"""The process that learns may be killed, hang, or be stopped from outside: the camera is learned all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.learning import learner_process
from monitor.learning.coordinator import Learning
from monitor.learning.learner_process import SILENT_S, LearnerProcess
from monitor.learning.learning_plan import LearningPlan
from monitor.learning.retries import LONGEST_S, MOST, Retries
from monitor.reports import CameraReport
from monitor.states import CameraState
from monitor.testing.captured import eventually
from monitor.testing.scripted import Clock
from tests.helpers.isolated import alive
from tests.helpers.learners import never, resting_report
from tests.places import ROOT

WITH_WORKER = """
import os, time
if not (pid := os.fork()):
    time.sleep(600)
print('{"step": "learning", "overall": 0.36}', flush=True)
print('{"say": "worker %d"}' % pid, flush=True)
time.sleep(600)
"""
SILENT = "import time; time.sleep(600)"
REFUSES = "import sys; sys.stderr.write('error: no\\n'); sys.exit(2)"
NO_ROOM = "import sys; sys.stderr.write('error: cannot write the model: No space left on device\\n'); sys.exit(1)"
STOPPED = "import sys; sys.exit(130)"
BABBLES = """
for line in ('5', '[]', '{"step": 1}', 'no', '{"overall": "x", "step": "y"}', '\\udcff', '{"complete": true}'):
    print(line.encode('utf-8', 'surrogateescape').decode('latin-1'), flush=True)
"""


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], LearnerProcess]]:
    started: list[LearnerProcess] = []

    def start(script: str) -> LearnerProcess:
        monkeypatch.setattr(learner_process, "child_command", lambda *_: [sys.executable, "-S", "-c", script])
        started.append(LearnerProcess(plan(tmp_path, "door"), Clock()))
        return started[-1]

    yield start
    for process in started:
        process.close()


def worker_of(process: LearnerProcess) -> int:
    """The id of the process that it has started."""
    lines: list[str] = []

    def told() -> bool:
        lines.extend(process.take_lines())
        return bool(lines)

    assert eventually(told, within_s=10)
    return int(lines[0].removeprefix("worker "))


def test_a_killed_learner_has_ended_and_its_workers_do_not_live_on(learner: Callable[[str], LearnerProcess]) -> None:
    process = learner(WITH_WORKER)
    worker = worker_of(process)
    assert (process.step, process.fraction) == ("learning", 0.36)
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: process.ended, within_s=10), "although its worker holds its output open"
    assert process.error == "the process that learns was killed (SIGKILL), perhaps because memory ran out"
    assert not process.refused
    assert eventually(lambda: not alive(worker), within_s=5)


def test_closing_ends_the_learner_and_its_workers(learner: Callable[[str], LearnerProcess]) -> None:
    process = learner(WITH_WORKER)
    worker = worker_of(process)
    process.close()
    assert eventually(lambda: not alive(worker) and not alive(process.pid), within_s=5)


def test_a_learner_that_reports_nothing_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_process, "child_command", lambda *_: [sys.executable, "-S", "-c", SILENT])
    clock = Clock()
    process = LearnerProcess(plan(tmp_path, "door"), clock)
    assert not process.ended
    clock.now += SILENT_S + 1
    assert eventually(lambda: process.ended, within_s=5)
    assert process.error is not None
    assert "hung: it reported nothing for 300 s" in process.error
    assert not process.refused
    process.close()


ECHO = "import json, sys; print(json.dumps({'say': ' '.join(sys.argv[1:])}), flush=True)"


@pytest.mark.parametrize(("max_ms", "says"), [(None, ""), (2.5, " --max-ms 2.5")])
def test_the_budget_of_time_is_given_to_the_learner(
    max_ms: float | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner_process, "child_command", lambda *given: [sys.executable, "-S", "-c", ECHO, *given])
    process = LearnerProcess(replace(plan(tmp_path, "door"), max_ms=max_ms))
    assert eventually(lambda: process.ended, within_s=10)
    (line,) = process.take_lines()
    assert line.endswith(f"--false-alarms-per-day 1.0{says}")


def test_only_footage_that_is_refused_is_not_tried_again(learner: Callable[[str], LearnerProcess]) -> None:
    refused, no_room = learner(REFUSES), learner(NO_ROOM)
    assert eventually(lambda: refused.ended and no_room.ended, within_s=10)
    assert (refused.refused, refused.error) == (True, "no")
    assert (no_room.refused, no_room.error) == (False, "cannot write the model: No space left on device")


def test_lines_that_are_no_report_change_nothing(learner: Callable[[str], LearnerProcess]) -> None:
    process = learner(BABBLES)
    assert eventually(lambda: process.ended, within_s=10)
    assert process.complete, "the last line is read"


def plan(folder: Path, name: str) -> LearningPlan:
    return LearningPlan(name, name, folder / name, 20.0, ("static",), resumed=False)


def report(name: str) -> CameraReport:
    return resting_report(name, CameraState.ONLINE)


@pytest.mark.parametrize("script", [NO_ROOM, STOPPED, "import os; os.kill(os.getpid(), 9)", "raise MemoryError"])
def test_a_camera_is_learned_later_and_another_meanwhile(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[str] = []

    def command(*arguments: str) -> list[str]:
        started.append(arguments[arguments.index("--name") + 1])
        return [sys.executable, "-S", "-c", script if started == ["door"] else SILENT]

    monkeypatch.setattr(learner_process, "child_command", command)
    clock = Clock()
    learning = Learning((), never, clock)
    try:
        for name in ("door", "yard"):
            learning.begin(plan(tmp_path, name))
            learning._learners[name].recorder.seen_s = 20.0

        def tick() -> bool:
            learning.tick(lambda _: CameraState.ONLINE, lambda *_: None)
            return started == ["door", "yard"]

        assert eventually(tick, within_s=10), "the other camera learns meanwhile"
        shown = learning.amend(report("door"))
        assert shown.state is CameraState.LEARNING, "not failed"
        assert "it is tried again, so far 1 failure" in shown.detail
        assert "trying again in 30 s, after 1 failure" in caplog.text
        learning.end("yard")
        clock.now += 29
        tick()
        assert started == ["door", "yard"]
        clock.now += 2
        tick()
        assert started == ["door", "yard", "door"]
    finally:
        learning.close()


def test_a_learner_that_cannot_be_started_costs_only_its_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(subprocess, "Popen", full)
    clock = Clock()
    learning = Learning((plan(tmp_path, "door"),), never, clock)
    learning._learners["door"].recorder.seen_s = 20.0
    for _ in range(2 + MOST):
        learning.tick(lambda _: CameraState.ONLINE, lambda *_: None)
        learning.tick(lambda _: CameraState.ONLINE, lambda *_: None)
        shown = learning.amend(report("door"))
        clock.now += LONGEST_S + 1
    assert shown.state is CameraState.FAILED, "not for ever"
    assert "cannot be started: Too many open files" in shown.detail
    learning.close()


def test_delays_grow_and_end() -> None:
    retries = Retries(Clock())
    assert [retries.again("x") for _ in range(MOST + 1)] == [30, 60, 120, 240, 480, 960, 1800, 1800, None]
    assert not retries.due
    retries.succeeded()
    assert retries.again("x") == 30


PARENT = """
import sys, time
from pathlib import Path
from monitor.learning import learner_process
from monitor.learning.learning_plan import LearningPlan
learner_process.child_command = lambda *_: [sys.executable, "-P", "-c", '''
import os, signal, time
from monitor.processes import end_with_parent
end_with_parent(signal.SIGTERM)
print('{"say": "ready"}', flush=True)
time.sleep(600)
''']
plan = LearningPlan("door", "door", Path("door"), 20.0, ("static",))
process = learner_process.LearnerProcess(plan)
while not process.take_lines():
    time.sleep(0.01)
print(process.pid, flush=True)
time.sleep(600)
"""


def test_the_learner_ends_with_a_killed_monitor() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    assert eventually(lambda: not alive(child), within_s=5.0)
