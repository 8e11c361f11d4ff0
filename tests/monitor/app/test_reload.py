"""Reloading the config while the monitor runs."""

from __future__ import annotations

import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.reload import Reloader
from monitor.errors import ConfigError, MonitorError
from monitor.judging.camera_monitor import Judgement
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.reports import CameraReport
from monitor.states import CameraState
from monitor.testing.fakes import LevelSource, brightness_model, fleet_of, watched_by
from monitor.text import redaction
from tests.places import ROOT

DEADLINE_S = 30
MODEL = brightness_model()
LOOP = CaptureSettings(speed=20.0, loop=True)


def planned(name: str, level: int = 25) -> Camera:
    camera = watched_by(LevelSource(name, [level] * 500), MODEL, LOOP)
    return replace(camera, opened_with=(name, level))


class Script(Sink):
    """Waits for conditions one after another and acts when each becomes true. Ends the run after the last."""

    def __init__(self, *steps: tuple[Callable[[], bool], Callable[[], object]]) -> None:
        self.steps = list(steps)
        self.levels: dict[str, list[float]] = {}
        self.times: dict[str, list[float]] = {}
        self.states: list[tuple[str, CameraState, str]] = []
        self.stop = threading.Event()

    def score(self, judgement: Judgement) -> None:
        name = judgement.scored.frame.camera
        self.levels.setdefault(name, []).append(judgement.scored.detections[0].score * 255)
        self.times.setdefault(name, []).append(judgement.scored.frame.time_s)

    def health(self, report: CameraReport) -> None:
        self.states.append((report.name, report.state, report.detail))

    def next(self) -> None:
        if self.steps and self.steps[0][0]():
            self.steps.pop(0)[1]()
        if not self.steps:
            self.stop.set()


class Bench:
    """A pipeline, its main loop and a reloader. The test sets the next plan."""

    def __init__(self, tmp_path: Path, *cameras: Camera) -> None:
        self.plan: list[Camera] | MonitorError = list(cameras)
        self.settings = MonitorConfig()
        self.file = tmp_path / "cameras.toml"
        self.file.write_text("")
        self.fleet = fleet_of(*cameras)
        self.reloader = Reloader(self.file, self._prepare, self.settings, self.fleet, follow=True)

    def _prepare(self) -> tuple[MonitorConfig, list[Camera]]:
        if isinstance(self.plan, MonitorError):
            raise self.plan
        return self.settings, self.plan

    def reload(self, plan: list[Camera] | MonitorError) -> None:
        self.plan = plan
        self.reloader.done.clear()
        self.reloader.requested.set()

    def run(self, script: Script) -> None:
        watch = Watch(self.fleet, [script])

        def on_tick() -> None:
            self.reloader.tick()
            script.next()

        watch.run(script.stop, DEADLINE_S, on_tick)
        assert not script.steps, "the run ended before all steps were done"


def test_cameras_are_added_removed_and_changed_and_the_others_are_not_touched(tmp_path: Path) -> None:
    steady, old, leaving = planned("steady"), planned("changing", 25), planned("leaving")
    bench = Bench(tmp_path, steady, old, leaving)
    script = Script()

    def counts(name: str) -> int:
        return len(script.levels.get(name, []))

    script.steps = [
        (
            lambda: min(map(counts, ("steady", "changing", "leaving"))) > 20,
            lambda: bench.reload([planned("steady"), planned("changing", 50), planned("new", 75)]),
        ),
        (lambda: bench.reloader.done.is_set() and min(map(counts, ("changing", "new"))) > 60, script.states.clear),
        (lambda: counts("steady") > 200, lambda: None),
    ]
    bench.run(script)
    assert {round(level) for level in script.levels["new"]} == {75}
    changing = [round(level) for level in script.levels["changing"]]
    assert changing == sorted(changing), "no frame of the old source after the first frame of the new one"
    assert set(changing) == {25, 50}
    times = script.times["steady"]
    assert max(b - a for a, b in pairwise(times)) < 0.05, "no frame of the steady camera was lost"
    assert {member.name for member in bench.fleet} == {"steady", "changing", "new"}
    assert not [t.name for t in threading.enumerate() if t.name == "capture leaving"]


@pytest.mark.parametrize("names", [["only"], ["one", "two", "three"]])
def test_the_run_goes_on_when_every_camera_has_changed(tmp_path: Path, names: list[str]) -> None:
    bench = Bench(tmp_path, *(planned(name, 25) for name in names))
    script = Script()

    def seen(level: int) -> bool:
        return all(sum(round(s) == level for s in script.levels.get(name, [])) > 20 for name in names)

    script.steps = [
        (lambda: seen(25), lambda: bench.reload([planned(name, 50) for name in names])),
        (lambda: seen(50), lambda: bench.reload([planned(name, 75) for name in names])),
        (lambda: seen(75), lambda: None),
    ]
    bench.run(script)


def test_a_config_that_cannot_be_used_is_refused_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path, planned("a"))
    script = Script()
    script.steps = [
        (lambda: len(script.levels.get("a", [])) > 10, lambda: bench.reload(ConfigError("unknown setting 'x'"))),
        (bench.reloader.done.is_set, script.levels.clear),
        (lambda: len(script.levels.get("a", [])) > 10, lambda: None),
    ]
    bench.run(script)
    assert "config refused, the run continues with the previous one: unknown setting 'x'" in caplog.text
    assert {member.name for member in bench.fleet} == {"a"}


def test_a_changed_file_is_noticed_without_being_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path, planned("a"))
    script = Script()

    def change() -> None:
        bench.plan = [planned("a"), planned("b")]
        bench.file.write_text("# changed\n")

    script.steps = [
        (lambda: len(script.levels.get("a", [])) > 10, change),
        (lambda: len(script.levels.get("b", [])) > 10, lambda: None),
    ]
    bench.run(script)


def test_sighup_takes_a_new_model_adds_a_camera_refuses_a_bad_file_and_takes_a_good_one(tmp_path: Path) -> None:
    config = tmp_path / "cameras.toml"
    model = ROOT / "monitor/assets/demo"
    own = tmp_path / "model"
    shutil.copytree(model, own)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(50):
        (frames / f"{number}.png").write_bytes(_png(number))

    def write(*names: str, extra: str = "") -> None:
        cameras = "".join(f'[cameras.{name}]\nsource = "{frames}"\n' for name in names)
        config.write_text(f'model = "{own}"\n{extra}[playback]\nloop = true\n[publish]\nenabled = false\n{cameras}')

    write("one")
    process = subprocess.Popen(
        [sys.executable, "-u", ROOT / "run_monitor.py", "--config", config, "--headless"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None

    def wait_for(part: str) -> str:
        assert process.stderr is not None
        for line in process.stderr:  # the test's own timeout is the deadline
            if part in line:
                return line
        raise AssertionError(f"no line with '{part}'")

    wait_for("one: first score")
    card = json.loads((model / "model.json").read_text()) | {"name": "newer"}
    (own / "model.json").write_text(json.dumps(card))
    process.send_signal(signal.SIGHUP)
    assert "changed one; unchanged: 0" in wait_for("config read again"), "the new model of the folder is used"
    write("one", "two")
    process.send_signal(signal.SIGHUP)
    assert "added two; unchanged: 1" in wait_for("config read again")
    wait_for("two: first score")
    write("two", extra="analysis_fpss = 3\n")
    process.send_signal(signal.SIGHUP)
    assert "did you mean 'analysis_fps'" in wait_for("config refused")
    write("two")
    process.send_signal(signal.SIGHUP)
    assert "removed one; unchanged: 1" in wait_for("config read again")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0


def _png(number: int) -> bytes:
    import cv2
    import numpy as np

    picture = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes()


def test_closing_the_terminal_ends_a_monitor_that_has_a_config(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(20):
        (frames / f"{number}.png").write_bytes(_png(number))
    config = tmp_path / "cameras.toml"
    config.write_text(
        f'model = "{ROOT / "monitor/assets/demo"}"\n[playback]\nloop = true\n[publish]\nenabled = false\n'
        f'[cameras.one]\nsource = "{frames}"\n'
    )
    alive, held = os.pipe()  # the monitor inherits one end; when it ends, the other end reads EOF
    in_a_terminal = (sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])")
    terminal = subprocess.Popen(
        [*in_a_terminal, sys.executable, ROOT / "run_monitor.py", "--config", config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[held],
    )
    os.close(held)
    assert terminal.stdout is not None
    shown = b""
    while b"cameras" not in shown:
        chunk = os.read(terminal.stdout.fileno(), 4096)
        assert chunk, shown
        shown += chunk
    terminal.kill()
    terminal.wait()
    terminal.stdout.close()
    with open(alive, "rb") as end, selectors.DefaultSelector() as selector:  # noqa: PTH123 - a descriptor
        selector.register(end, selectors.EVENT_READ)
        assert selector.select(DEADLINE_S), "the monitor continues without its terminal"
        assert end.read() == b""


def test_a_secret_is_read_again_and_one_that_is_gone_refuses_the_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redaction, "_secrets", ())
    secret, bench = tmp_path / "password", Bench(tmp_path, planned("door"))
    secret.write_text("first-password")
    secret.chmod(0o600)
    bench.file.write_text(f"[cameras.door]\nsource = 'rtsp://joe:${{file:{secret}}}@cam/live'")
    reads: list[str] = []

    def prepare() -> tuple[MonitorConfig, list[Camera]]:
        settings = load_config(bench.file)
        reads.append(settings.cameras["door"].source)
        return settings, [planned("door")]

    reloader = Reloader(bench.file, prepare, load_config(bench.file), bench.fleet, follow=False)

    def reload() -> None:
        reloader.done.clear()
        reloader.requested.set()
        deadline = time.monotonic() + DEADLINE_S
        while not reloader.done.wait(0.01):
            assert time.monotonic() < deadline
            reloader.tick()

    with caplog.at_level(logging.INFO):
        secret.write_text("second-password")
        reload()
        assert reads == ["rtsp://joe:second-password@cam/live"]
        secret.chmod(0o644)
        reload()
    assert "config refused" in caplog.text
    assert "every user can read the file" in caplog.text
    assert "-password" not in caplog.text
    assert reloader.settings.cameras["door"].source == reads[-1]
