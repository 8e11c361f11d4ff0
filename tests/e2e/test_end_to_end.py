"""The whole product: run_monitor.py in one process, real RTSP cameras in others, a real subscriber in another."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from monitor.testing.faulty_camera import Fault, FaultyCamera
from monitor.testing.rtsp_server import RtspServer
from tests.helpers.commands import monitor as run_monitor
from tests.places import ROOT, SHARED_DATA
from tests.training.evaluate.test_what_if import what_if, without_model

DEMO_MODEL = ROOT / "monitor/assets/demo"
DEADLINE_S = 60.0


class JsonClient:
    """``python -m monitor.client --json`` in its own process; keeps everything that it has printed."""

    def __init__(self, folder: Path) -> None:
        endpoints = ("--endpoint", f"ipc://{folder}/alerts", "--scores-endpoint", f"ipc://{folder}/scores")
        # It gets all alerts, even if a busy machine starts it late, because each test has its own journal.
        command = [sys.executable, "-m", "monitor.client", "--json", "--health", "--since", "1h", *endpoints]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.seen: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], within_s: float = DEADLINE_S) -> dict[str, Any]:
        """The next message that is wanted. AssertionError if none arrives in time."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"nothing within {within_s:g} s; last: {self.seen[-3:]}") from None
            assert line is not None, "the client ended"
            message: dict[str, Any] = json.loads(line)
            self.seen.append(message)
            if wanted(message):
                return message

    def of(self, kind: str, camera: str) -> list[dict[str, Any]]:
        return [m for m in self.seen if m["kind"] == kind and m["camera"] == camera]


@contextmanager
def running(folder: Path, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], JsonClient]]:
    """The monitor, with a subscriber that starts before it."""
    client = JsonClient(folder)
    command = [sys.executable, "-u", ROOT / "run_monitor.py", *arguments, "--headless"]
    addresses = [f"ipc://{folder}/{name}" for name in ("alerts", "scores", "history")]
    command += ["--alerts", addresses[0], "--scores", addresses[1], "--history", addresses[2]]
    # In this folder, because the monitor writes its journal to the working directory.
    monitor = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, text=True)
    try:
        yield monitor, client
    finally:
        monitor.kill()
        monitor.wait()
        client.close()


def score_of(camera: str) -> Callable[[dict[str, Any]], bool]:
    return lambda m: m["kind"] == "score" and m["camera"] == camera and m["score"] is not None


def state_of(camera: str, *states: str) -> Callable[[dict[str, Any]], bool]:
    return lambda m: m["kind"] == "health" and m["camera"] == camera and m["state"] in states


@pytest.mark.rtsp
def test_a_camera_is_scored_lost_and_found_frozen_and_found_while_another_never_notices(tmp_path: Path) -> None:
    ball = {"/ball": "ball:320x240@25"}
    with (
        RtspServer(ball) as server,
        RtspServer(ball) as other,
        running(
            tmp_path, f"yard={server.url('/ball', 'u:hunter2')}", f"door={other.url('/ball')}", "--model", DEMO_MODEL
        ) as (monitor, client),
    ):
        client.wait_for(score_of("yard"))
        client.wait_for(score_of("door"))

        server.kill()
        client.wait_for(state_of("yard", "offline", "stalled"), within_s=5.5)
        server.start()
        client.wait_for(state_of("yard", "online"))
        client.wait_for(score_of("yard"))

        server.freeze()
        frozen_at = time.monotonic()
        client.wait_for(state_of("yard", "stalled"), within_s=6.0)
        # 5 s after its last frame, and half a second for the two other processes on a busy machine.
        assert time.monotonic() - frozen_at < 5.5
        server.thaw()
        client.wait_for(state_of("yard", "online"))
        client.wait_for(score_of("yard"))

        server.freeze()  # a read that nothing can interrupt must not delay the end
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(timeout=2.5) == 0, "2 s, and half a second for a busy machine"
    states = [m["state"] for m in client.of("health", "door")]
    assert states in (["online"], ["connecting", "online"]), "the first may be sent before the subscriber has connected"
    door = client.of("score", "door")
    assert [m["seq"] for m in door] == list(range(door[0]["seq"], door[0]["seq"] + len(door))), "no score was lost"
    assert max(b["time_s"] - a["time_s"] for a, b in pairwise(door)) < 1.5
    assert "hunter2" not in json.dumps(client.seen)


def test_a_frozen_and_a_covered_camera_are_published_and_not_scored_until_they_are_back(tmp_path: Path) -> None:
    with FaultyCamera() as camera:
        config = tmp_path / "cameras.toml"
        config.write_text(f"[cameras.yard]\nsource = '{camera.url}'\n[health]\nfrozen_after_s = 1\ndark_after_s = 1\n")
        with running(tmp_path, "--config", config, "--model", DEMO_MODEL) as (_, client):
            client.wait_for(score_of("yard"))
            for fault, state in ((Fault.FROZEN, "frozen"), (Fault.BLACK, "dark")):
                camera.strike(fault)
                said = client.wait_for(state_of("yard", state))
                assert "scoring pauses" in said["detail"]
                client.wait_for(lambda m: m["kind"] == "score" and m["score"] is None)
                at = len(client.seen)
                client.wait_for(lambda m: m["kind"] == "score" and m["score"] is None)
                assert not [m for m in client.seen[at:] if score_of("yard")(m)]
                camera.mend()
                client.wait_for(state_of("yard", "online"))
                client.wait_for(score_of("yard"))


@dataclass(frozen=True)
class DemoRun:
    """The alerts of a whole demo as a subscriber got them and as they were recorded, and the record of its scores."""

    alerts: list[dict[str, Any]]
    recorded: list[str]
    scores: Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    folder = tmp_path_factory.mktemp("demo")
    alerts, scores = folder / "alerts.jsonl", folder / "scores.jsonl"
    records = ("--record-alerts", alerts, "--record-scores", scores)
    with running(folder, "--demo", "--model", DEMO_MODEL, "--speed", "max", *records) as (monitor, client):
        client.wait_for(state_of("demo", "ended"), within_s=100)
        assert monitor.wait(timeout=10) == 0
    return DemoRun(client.of("alert", "demo"), alerts.read_text().splitlines(), scores)


def test_the_demo_s_alerts_reach_a_subscriber_with_reason_and_place_and_match_the_truth(demo: DemoRun) -> None:
    alerts, recorded = demo.alerts, [json.loads(line) for line in demo.recorded]
    assert [(m["phase"], m["started_s"]) for m in alerts] == [(r["phase"], r["started_s"]) for r in recorded]
    starts = [m for m in alerts if m["phase"] == "start"]
    ends = [m for m in alerts if m["phase"] == "end"]
    assert len(starts) == len(ends) >= 5
    for message in starts + ends:
        assert message["reasons"][0]["text"]
        assert message["regions"]
        assert message["jpeg_bytes"] > 1000
        assert message["model"]["id"] == "demo"
        assert 200 < message["expected_false_alarms_per_day"] < 300, "its footage is six minutes long"


def test_every_alert_of_the_demo_comes_again_from_the_command_line(demo: DemoRun) -> None:
    assert len(demo.recorded) >= 10
    assert what_if("--scores", demo.scores, "--json").stdout.splitlines() == without_model(demo.recorded)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real footage (shared/data) is missing")
@pytest.mark.parametrize("clip", ["vtest_480x360.mp4", "one-by-one-person-detection.mp4"])
def test_a_real_clip_is_scored_to_its_last_frame(tmp_path: Path, clip: str) -> None:
    path = SHARED_DATA / "clips" / clip
    scores = tmp_path / "scores.jsonl"
    fast = ("--speed", "max", "--analysis-fps", "1", "--no-publish")
    result = run_monitor(path, "--model", DEMO_MODEL, *fast, "--record-scores", scores)
    assert result.returncode == 0, result.stderr
    with av.open(path) as container:
        frames = sum(1 for packet in container.demux(video=0) if packet.size)
    assert f" {frames} " in result.stdout
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    assert lines[-1]["index"] > frames - 10
    assert all(line["score"] is not None for line in lines[3:])


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real footage (shared/data) is missing")
def test_an_avenue_tree_is_replayed_with_a_stream_a_video(tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"
    fast = ("--speed", "max", "--max-frames", "30", "--no-publish")
    result = run_monitor(SHARED_DATA / "avenue", "--model", DEMO_MODEL, *fast, "--record-scores", scores)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    cameras = [line["camera"] for line in lines if "score" in line]
    assert {name: cameras.count(name) for name in set(cameras)} == {"17": 30, "19": 30, "20": 30}
