"""A run with several engines is as a run with one: to clients, in the journal, when told to stop, when killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monitor.alerts.journal import Journal
from monitor.app.engines import front_session
from monitor.app.engines.engine_messages import Step
from monitor.app.engines.local_placement import LocalPlacement
from monitor.app.engines.placement import Ended
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.testing.captured import eventually
from tests.helpers.commands import client, monitor
from tests.helpers.isolated import alive
from tests.places import ROOT

MODEL = ROOT / "monitor/assets/demo"
DEADLINE_S = 60.0
OF_A_RUN = ("epoch", "sent_at", "position", "frame_age_s", "started_at", "ended_at", "seq")
"""What differs between two runs of one process: clocks, and how cameras interleave."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four cameras: six seconds of the street each, from different moments; in the middle, the picture runs away."""
    folder, scene = tmp_path_factory.mktemp("videos"), SyntheticScene(seed=7, duration_s=90.0)
    for number in range(4):
        path = folder / f"cam{number}.avi"
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 90))
        for frame in range(60):
            image = scene.render(round(25 * 18 * number + 2.5 * frame))
            image = np.roll(image, 60 * frame, 1) if 20 <= frame < 35 + number else image
            writer.write(cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA))
        writer.release()
    return [f"cam{number}={folder / f'cam{number}.avi'}" for number in range(4)]


def arguments(folder: Path, engines: int, *more: str | Path, model: Path = MODEL) -> list[str | Path]:
    """The arguments of a run with its state in a folder."""
    addresses = [f"--{name}=ipc://{folder}/{name}" for name in ("alerts", "scores", "history", "control")]
    return [*more, *addresses, "--model", model, "--headless", "--verbose", "--state", folder, f"--engines={engines}"]


def bodies(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Camera -> the bodies of its alerts in the journal, without what differs between any two runs."""
    found: dict[str, list[dict[str, Any]]] = {}
    with Journal(folder / "runs/journal.sqlite3") as journal:
        page = journal.page(0, ["alert/"], limit=1000, max_bytes=10**9, pictures=False)
        for entry in page.entries:
            body = json.loads(entry.body)
            body["event_id"] = body["event_id"].removeprefix(body["epoch"])
            found.setdefault(body["camera"], []).append({k: v for k, v in body.items() if k not in OF_A_RUN})
    return found


class Running:
    """``run_monitor.py`` in its own process, with its state and its log in a folder."""

    def __init__(self, folder: Path, engines: int, *more: str | Path, model: Path = MODEL) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.log = folder, folder / "log"
        self.alerts = f"ipc://{folder}/alerts"
        command = [sys.executable, ROOT / "run_monitor.py", *arguments(folder, engines, *more, model=model)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def says(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.text.count(text) >= times or self.process.poll() is not None, DEADLINE_S)
        assert self.text.count(text) >= times, self.text

    def ends(self, code: int = 0) -> None:
        assert self.process.wait(DEADLINE_S) == code, self.text

    def engines(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if b"engine_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def running(folder: Path, engines: int, *more: str | Path, model: Path = MODEL) -> Iterator[Running]:
    run = Running(folder, engines, *more, model=model)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()


def light(folder: Path) -> list[str | Path]:
    """Flags of a run that decodes in its own threads and analyses half of the frames. It takes less time."""
    config = folder / "light.toml"
    config.write_text("analysis_fps = 5\n[capture]\nisolation = 'thread'\n")
    return ["--config", config]


def recording(folder: Path) -> list[str | Path]:
    """Flags of a light run that records everything."""
    return [*light(folder), "--record-scores", folder / "scores.jsonl", "--record-alerts", folder / "alerts.jsonl"]


def recorded(folder: Path) -> list[list[bytes]]:
    """What it has recorded, in an order that does not depend on how cameras interleave."""
    return [sorted((folder / name).read_bytes().splitlines()) for name in ("scores.jsonl", "alerts.jsonl")]


@pytest.fixture(scope="module")
def one(videos: list[str], tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A run of one process, to compare with."""
    folder = tmp_path_factory.mktemp("one")
    with running(folder, 1, *videos, "--speed", "max", *recording(folder)) as run:
        run.ends()
    return run


def test_four_engines_give_the_same_alerts_and_scores_as_one_byte_for_byte(
    videos: list[str], one: Running, tmp_path: Path
) -> None:
    with running(tmp_path, 4, *videos, "--speed", "max", *recording(tmp_path)) as run:
        run.ends()
    assert recorded(tmp_path) == recorded(one.folder)
    assert bodies(tmp_path) == bodies(one.folder)
    assert len(bodies(tmp_path)) == 4, "something happens in each of the videos"


class Killing(LocalPlacement):
    """Kills an engine when the first step of an event arrives. What it sent after that is lost with it."""

    killed = 0

    def receive(self, timeout_s: float) -> list[tuple[int, object]]:
        found = []
        for engine, message in super().receive(timeout_s):
            if engine != Killing.killed or isinstance(message, Ended):
                found.append((engine, message))
            if not Killing.killed and isinstance(message, Step):  # it is not acknowledged, so the engine still runs
                Killing.killed = engine
                self.kill(engine)
        return found


def test_files_of_a_killed_engine_give_each_alert_exactly_once(
    videos: list[str], one: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Killing, "killed", 0)
    monkeypatch.setattr(front_session, "LocalPlacement", Killing)
    ended = monitor(*arguments(tmp_path, 2, *videos, "--speed", "max", *recording(tmp_path)), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"engine {Killing.killed} ended (SIGKILL): another one watches its 2 cameras at once" in ended.stderr
    assert bodies(tmp_path) == bodies(one.folder)
    assert recorded(tmp_path) == recorded(one.folder)


def test_a_run_answers_stops_and_takes_its_engines_along(videos: list[str], tmp_path: Path) -> None:
    config = tmp_path / "cameras.toml"
    cameras = [f"[cameras.{name}]\nsource = '{path}'\n" for name, path in (each.split("=") for each in videos)]
    usual = "analysis_fps = 5\n[playback]\nloop = true\n[capture]\nisolation = 'thread'\n"
    config.write_text(usual + "".join(cameras[:3]))
    with running(tmp_path / "run", 2, "--config", config) as run:
        run.says("first score", 3)
        said = client("disarm", "cam1", "--endpoint", run.alerts)
        assert said.returncode == 0, said.stderr
        assert "cam1 is disarmed" in said.stdout
        assert "no camera nobody is watched" in client("disarm", "nobody", "--endpoint", run.alerts).stderr

        config.write_text(usual + "[alert]\non = 1.5\n" + "".join(cameras[1:]))
        run.process.send_signal(signal.SIGHUP)
        run.says("config read again: added cam3, removed cam0, changed cam1, cam2; unchanged: 0 ([alert] on 1 -> 1.5)")
        run.says("cam3: first score")
        config.write_text("nonsense = 1\n")
        run.process.send_signal(signal.SIGHUP)
        run.says("config refused, the run continues with the previous one")

        for engine in run.engines():
            os.kill(engine, signal.SIGTERM)  # as a service manager does
        run.process.send_signal(signal.SIGTERM)
        run.ends()
    assert "Traceback" not in run.text
    assert "ended (SIGTERM)" not in run.text


def test_cameras_of_an_engine_that_is_stopped_are_watched_by_another_one(videos: list[str], tmp_path: Path) -> None:
    with running(tmp_path, 2, *videos, "--loop", *light(tmp_path)) as run:
        run.says("first score", 4)
        os.kill(run.engines()[0], signal.SIGSTOP)
        run.says("as if stopped: it is killed")
        over = "ended (SIGKILL): another one watches its 2 cameras at once"
        run.says(over)

        def watched() -> bool:
            return all(f"cam{number}: alert" in run.text.rpartition(over)[2] for number in range(4))

        assert eventually(watched, DEADLINE_S), run.text
        run.process.send_signal(signal.SIGTERM)
        run.ends()
    assert "Traceback" not in run.text


def test_engines_end_with_a_run_that_is_killed(videos: list[str], tmp_path: Path) -> None:
    with running(tmp_path, 2, *videos, "--loop", *light(tmp_path)) as run:
        run.says("first score", 4)
        engines = run.engines()
        assert len(engines) == 2
        run.process.kill()
        run.process.wait()
        gone: Callable[[], bool] = lambda: not any(alive(pid) for pid in engines)  # noqa: E731
        eventually(gone, DEADLINE_S)
        assert gone()


def test_a_model_that_cannot_be_used_is_one_sentence_and_an_exit_code(videos: list[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    ended = monitor(*arguments(tmp_path, 2, *videos, *light(tmp_path), model=tmp_path / "model"), cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "model" in ended.stderr.splitlines()[-1]
