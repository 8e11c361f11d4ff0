"""A fleet by its commands: a head and two nodes as processes on this machine, a client, and what people ask of it."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from monitor.alerts.control import Budget, Cameras, Mask
from monitor.alerts.messages import AlertMessage
from monitor.client import AlertSubscriber, Received
from monitor.client.controller import Controller
from monitor.machines.fleet_asking import FleetAsker
from monitor.machines.fleet_status import FleetStatus
from monitor.machines.fleet_token import read_token
from monitor.testing.captured import eventually
from monitor.testing.webhook_server import WebhookServer
from tests.helpers.commands import Finished, monitor
from tests.helpers.isolated import alive
from tests.monitor.machines.test_fleet_node import SETTINGS, video
from tests.places import ROOT

__all__ = ["video"]  # a fixture

DEADLINE_S = 60.0


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """``run_monitor.py fleet ARGUMENTS`` as a process; told to end at the end."""
    command = [sys.executable, ROOT / "run_monitor.py", "fleet", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Fleet:
    """An address of its own for each test: all of 127.0.0.0/8 is this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self.at = ("--head", self.host, "--state", folder)
        self.alerts = f"tcp://{self.host}:5560"

    def head(self, config: Path) -> tuple[str | Path, ...]:
        ports = [f"--{name}=tcp://{self.host}:{5560 + n}" for n, name in enumerate(("alerts", "scores", "history"))]
        return ("head", "--config", config, "--state", self.folder, "--listen", self.host, *ports)

    def ask(self, *arguments: str | Path) -> Finished:
        return monitor("fleet", *arguments, *self.at)

    def wait_for(self, condition: Callable[[FleetStatus], bool]) -> FleetStatus:
        """Without the command, which would start a program again and again."""
        deadline = time.monotonic() + DEADLINE_S
        with FleetAsker(f"tcp://{self.host}:5581", read_token(self.folder / "fleet/token"), DEADLINE_S) as asker:
            while not condition(found := asker.status()):
                assert time.monotonic() < deadline, found
                time.sleep(0.1)
        return found

    def wait_watched(self, but: str = "") -> str:
        """Wait until the camera is watched, not by the node ``but``. Returns its node."""

        def is_watched(found: FleetStatus) -> bool:
            camera = found.cameras[0]
            return camera.state == "watching" and camera.node not in ("", but) and not camera.next_node

        return self.wait_for(is_watched).cameras[0].node


def test_a_fleet_is_started_asked_moved_and_loses_a_node_and_each_alert_is_told_once(
    tmp_path: Path, video: Path
) -> None:
    fleet, config, settings = Fleet(tmp_path / "state"), tmp_path / "fleet.toml", tmp_path / "node.toml"
    settings.write_text(f'{SETTINGS}[evidence]\nenabled = true\nfolder = "{tmp_path / "evidence"}"\n')
    heard: list[AlertMessage] = []
    with ExitStack() as stack:
        hook = stack.enter_context(WebhookServer())
        config.write_text(
            f'[cameras.cam0]\nsource = "{video}"\nanalysis_fps = 5\n'
            f'[webhook.house]\nurl = "{hook.url}"\nsecret = "a secret of this test"\n'
        )
        head = stack.enter_context(started(*fleet.head(config)))
        said = lines_of(head, 4)
        token = tmp_path / "state/fleet/token"
        assert fleet.alerts in said[0]
        assert f"--head {fleet.host} " in said[1]
        assert str(token) in said[2]
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        nodes = {
            name: stack.enter_context(started("node", *fleet.at, "--name", name, "--config", settings))
            for name in ("north", "south")
        }
        fleet.wait_for(lambda found: len(found.nodes) == 2)
        first = fleet.wait_watched()
        subscriber = stack.enter_context(AlertSubscriber(fleet.alerts, since="1h", timeout_s=DEADLINE_S))

        def hear_from(name: str) -> None:
            for item in subscriber:
                if isinstance(item, Received) and isinstance(item.message, AlertMessage):
                    heard.append(item.message)
                    if item.message.lease is not None and item.message.lease.node == name:
                        return

        shown = json.loads(fleet.ask("status", "--json").stdout)
        assert [(each["name"], each["node"]) for each in shown["cameras"]] == [("cam0", first)]
        other = "south" if first == "north" else "north"
        assert fleet.ask("move", "nobody", other).returncode == 2
        assert "'nobody'" in fleet.ask("move", "nobody", other).stderr
        assert fleet.ask("move", "cam0", "nowhere").returncode == 2
        wrong = tmp_path / "wrong"
        wrong.write_text("another token than that of the fleet\n".replace(" ", "-"))
        refused = fleet.ask("status", "--token-file", wrong)
        assert (refused.returncode, "refuses this token" in refused.stderr) == (1, True)
        controller = stack.enter_context(Controller(fleet.alerts, timeout_s=DEADLINE_S))
        chosen = controller.ask(Budget(camera="cam0", per_day=2.0))
        assert (chosen.reply, chosen.data) == ("ok", {"camera": "cam0", "per_day": 2.0}), chosen.said
        corners = ((0.0, 0.0), (0.1, 0.0), (0.1, 0.1))
        masked = controller.ask(Mask(camera="cam0", name="window", polygon=corners), DEADLINE_S)
        assert masked.reply == "ok", masked.said
        moved = fleet.ask("move", "cam0", other)
        assert moved.returncode == 0, moved.stderr
        assert fleet.wait_watched(but=first) == other
        (shown,) = controller.ask(Cameras()).data["cameras"]
        assert (shown["name"], shown["per_day"]) == ("cam0", 2.0)  # what was chosen has gone with it
        assert [mask["name"] for mask in shown["masks"]] == ["window"]
        gateway, coordinator, _ = children_of(head.pid)
        os.kill(coordinator, signal.SIGKILL)  # it is started again, and nobody notices
        hear_from(other)
        assert eventually(lambda: any("cam0" in str(request.json) for request in hook.received), within_s=DEADLINE_S)
        assert eventually(lambda: fleet.ask("evidence", "--to", tmp_path / "here").returncode == 0, within_s=DEADLINE_S)
        assert list((tmp_path / "here/cam0").rglob("*-start.jpg"))
        nodes[other].kill()  # a machine is gone, with its engine
        assert fleet.wait_watched(but=other) == first
        hear_from(first)
        assert alive(gateway)
        parts = children_of(head.pid)
        head.send_signal(signal.SIGINT)
        assert head.wait(DEADLINE_S) == 0
        assert not any(map(alive, parts))
    starts = [message.event_id for message in heard if message.phase == "start"]
    assert starts
    assert len(starts) == len(set(starts))


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("status",), "cannot be read", 2),
        (("head",), "give it with --config", 2),
        (("head", "--config", "EMPTY"), "names no camera", 2),
        (("head", "--listen", "tcp://x"), "is no address of a head", 2),
        (("node", "--head", "127.0.0.1:0", "--name", "n"), "is no port", 2),
        (("node", "--head", "127.0.0.1", "--name", "a b"), "cannot be the name of a node", 2),
        (("node", "--head", "127.0.0.1", "--name", "n", "--labels", "=x"), "is no label", 2),
    ],
)
def test_wrong_input_gets_one_sentence(tmp_path: Path, arguments: tuple[str, ...], says: str, code: int) -> None:
    (tmp_path / "empty.toml").write_text("analysis_fps = 5\n")
    given = [str(tmp_path / "empty.toml") if word == "EMPTY" else word for word in arguments]
    done = monitor("fleet", *given, "--state", tmp_path / "state")
    assert (done.returncode, done.stderr.count("error:")) == (code, 1)
    assert says in done.stderr


def test_a_head_reads_its_cameras_again_keeps_its_address_and_its_parts_end_when_it_is_killed(tmp_path: Path) -> None:
    fleet, config = Fleet(tmp_path / "state"), tmp_path / "fleet.toml"
    config.write_text('[cameras.door]\nsource = "rtsp://door.example/1"\n')
    with started(*fleet.head(config), "--web-listen", f"{fleet.host}:8088") as head:
        page = lines_of(head, 5)[1].removeprefix("the page is at ")
        with urllib.request.urlopen(f"{page}/api/v1/health", timeout=DEADLINE_S) as answer:  # noqa: S310
            assert b'"version"' in answer.read()

        def asked() -> bool:
            """Whether the page reaches the control socket of the head."""
            try:
                with urllib.request.urlopen(f"{page}/api/v1/setup", timeout=DEADLINE_S) as answer:  # noqa: S310
                    return bool(json.loads(answer.read())["cameras"] == [])  # none is watched
            except urllib.error.HTTPError:
                return False

        assert eventually(asked, within_s=DEADLINE_S)
        parts = children_of(head.pid)
        second = monitor("fleet", *fleet.head(config), "--state", tmp_path / "other")
        assert (second.returncode, second.stderr.count("error:")) == (1, 1)
        assert "stop the program that uses it" in second.stderr
        config.write_text('[cameras.yard]\nsource = "rtsp://yard.example/1"\n')
        head.send_signal(signal.SIGHUP)
        fleet.wait_for(lambda found: [camera.name for camera in found.cameras] == ["yard"])
        assert all(map(alive, parts))
        head.kill()
        assert eventually(lambda: not any(map(alive, parts)))
