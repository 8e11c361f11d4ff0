"""Real monitors as engines of two nodes, which watch videos; coordinator and gateway over real sockets."""

from __future__ import annotations

import json
import os
import signal
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monitor.alerts.control import Changes, ControlReply, ControlRequest, Feedback, Preview, Undo
from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage, HealthMessage
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, Received
from monitor.client.controller import Controller
from monitor.machines.coordinator_server import CoordinatorServer
from monitor.machines.fleet_messages import Granted, Order
from monitor.machines.fleet_node import UNKNOWN_S, FleetNode
from monitor.machines.fleet_state import Wish
from monitor.machines.gateway_server import GatewayServer
from monitor.machines.leases import boot_clock
from monitor.machines.store_server import StoreServer
from monitor.model.model_versions import version_folders
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from tests.helpers.publishing import ANY
from tests.monitor.machines.test_fleet_network import pumped, wait_for
from tests.monitor.machines.test_gateway_server import TOKEN, open_publisher
from tests.places import ROOT

DEADLINE_S = 60.0
SETTINGS = f"""
model = "{ROOT / "monitor/assets/demo"}"
device = "cpu"
[playback]
loop = true
[capture]
isolation = "thread"
"""


LEARNS = """
detectors = ["static"]
[learning]
duration_s = 10.0
[playback]
loop = true
[capture]
isolation = "thread"
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of the street; in the middle, the picture runs away, which raises an alert."""
    path, scene = tmp_path_factory.mktemp("video") / "street.avi", SyntheticScene(seed=7, duration_s=90.0)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 90))
    for frame in range(60):
        image = scene.render(round(2.5 * frame))
        image = np.roll(image, 60 * frame, 1) if 20 <= frame < 35 else image
        writer.write(cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA))
    writer.release()
    return path


def with_control(journal: Journal) -> Publisher:
    return Publisher(ANY, ANY, ANY, ANY, node="lab", journal=journal, carries=True)


def engine_pid(node: FleetNode) -> int:
    process = node.engine._process
    assert process is not None
    return process.pid


def test_a_node_is_taught_and_killed_and_another_one_knows_it_and_each_alert_is_told_once(
    tmp_path: Path, video: Path
) -> None:
    settings = json.dumps({"analysis_fps": 5, "masks": {"door": {"polygon": [[0.0, 0.0], [0.05, 0.0], [0.05, 0.05]]}}})
    wishes = {f"cam{number}": Wish(source=str(video), fps=5.0, settings=settings) for number in range(2)}
    heard: list[AlertMessage] = []
    states: list[tuple[str, str]] = []
    with ExitStack() as stack:
        gateway = stack.enter_context(pumped(GatewayServer("lab", tmp_path / "gateway", ANY, TOKEN, with_control)))
        server = CoordinatorServer("lab", tmp_path / "coordinator", ANY, gateway.socket.endpoint, TOKEN)
        stack.enter_context(pumped(server, lambda it: it.coordinator.set_cameras(wishes, boot_clock(), time.time())))
        store = stack.enter_context(pumped(StoreServer(tmp_path / "store", ANY, TOKEN)))
        ends = gateway.socket.endpoint, server.socket.endpoint
        nodes = {
            name: stack.enter_context(
                pumped(
                    FleetNode(
                        name,
                        tmp_path / name,
                        SETTINGS,
                        *ends,
                        TOKEN,
                        capacity_fps=100.0,
                        store=store.socket.endpoint,
                    )
                )
            )
            for name in ("north", "south")
        }

        def watching() -> dict[str, str]:
            cameras = server.coordinator.status(boot_clock(), time.time()).cameras
            return {camera.name: camera.node for camera in cameras if camera.state == "watching"}

        wait_for(lambda: watching().keys() == wishes.keys(), DEADLINE_S)
        subscriber = stack.enter_context(
            AlertSubscriber(gateway.publisher.alerts_endpoint, since="1h", health=True, timeout_s=DEADLINE_S)
        )

        def hear(enough: int, of: str) -> None:
            for item in subscriber:
                if isinstance(item, Received) and isinstance(item.message, AlertMessage):
                    heard.append(item.message)
                elif isinstance(item, Received) and isinstance(item.message, HealthMessage):
                    states.append((item.message.camera, str(item.message.state)))
                lease = heard[-1].lease if heard else None
                if len(heard) >= enough and lease is not None and lease.node == of:
                    return

        def hear_one(of: str) -> bool:
            hear(len(heard) + 1, of=of)
            return False

        def peak(camera: str, of: str) -> float:
            """Of its first event that has ended on this node; 0 without one."""
            ended = (m for m in heard if m.lease and (m.camera, m.phase, m.lease.node) == (camera, "end", of))
            return next((message.peak_score for message in ended), 0.0)

        victim = watching()["cam0"]
        other = "south" if victim == "north" else "north"
        hear(2, of=victim)
        controller = stack.enter_context(
            Controller(gateway.publisher.alerts_endpoint, gateway.publisher.control.endpoint, timeout_s=DEADLINE_S)
        )

        def ask(request: ControlRequest) -> ControlReply:
            reply = controller.ask(request)
            assert reply.reply == "ok", reply.said
            return reply

        wait_for(lambda: peak("cam0", of=victim) > 0 or hear_one(victim), DEADLINE_S)
        told = next(message.event_id for message in heard if message.camera == "cam0")
        assert "would have hidden 1 of 1 alarm" in ask(Preview(event=told, verdict="normal")).said
        assert "is normal; similar events" in ask(Feedback(event=told, verdict="normal", asked_by="ann")).said
        wait_for(lambda: any(file.name == "taught" for file in store.store.look("cam0").extras), DEADLINE_S)
        pid = engine_pid(nodes[victim])
        nodes[victim].halt.set()  # the machine is gone: nobody renews, and its monitor is killed
        os.kill(pid, signal.SIGKILL)
        took_s = wait_for(lambda: watching().get("cam0") == other and len(watching()) == 2, DEADLINE_S)
        wait_for(lambda: all(peak(name, of=other) for name in wishes) or hear_one(other), DEADLINE_S)
        assert peak("cam0", of=other) < 0.5 * peak("cam1", of=other)  # the next node was taught before it opened it
        assert "is no longer normal; it began" in ask(Undo(event="last", camera="cam0")).said
        changes = ask(Changes()).data["changes"]
        assert [(each["request"], each["by"]) for each in changes] == [
            ("undo", "127.0.0.1"),
            ("feedback", "ann by 127.0.0.1"),
        ]
    written = tomllib.loads((tmp_path / other / "engine/cameras.toml").read_text())
    assert written["cameras"]["cam0"]["masks"]["door"]["polygon"]  # a mask goes with its camera
    starts = [message.event_id for message in heard if message.phase == "start"]
    assert starts
    assert len(starts) == len(set(starts))
    assert {message.node for message in heard} == {"lab"}
    assert ("cam0", "online") in states
    assert took_s < 30.0  # 15 s on a machine that is not busy: the engine of the other node may have to start first


def test_the_head_is_told_what_is_chosen_here_if_it_does_not_know_it_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, str]] = []
    node = FleetNode("north", tmp_path, SETTINGS, "tcp://127.0.0.1:9", "tcp://127.0.0.1:9", TOKEN, capacity_fps=9.0)
    monkeypatch.setattr(node.link, "chosen", lambda *chosen: told.append(chosen))
    orders = {name: Order(epoch=5, role="active", source=name, fps=5.0, choice="old") for name in ("gate", "yard")}
    orders["shed"] = Order(epoch=5, role="standby", source="shed", fps=5.0, choice="old")
    keeper = node.link.keeper
    keeper.granted(Granted(number=keeper.renewal(0.0).number, orders=orders, at=(1, 1)), 0.0)
    (chosen,) = tmp_path.rglob("chosen")
    for name in ("gate", "shed"):
        (chosen / f"{name}.json").write_text("new")
    node._compare(100.0)
    node._compare(100.0 + UNKNOWN_S - 0.1)
    assert not told, "the answer may be on its way"
    node._compare(200.0)
    assert told == [("gate", 5, "new")]
    known = orders | {"gate": orders["gate"].model_copy(update={"choice": "new"})}
    keeper.granted(Granted(number=keeper.renewal(1.0).number, orders=known, at=(1, 2)), 1.0)
    node._compare(300.0)
    assert len(told) == 1


def test_a_camera_learns_on_one_node_and_the_next_one_watches_it_without_learning(tmp_path: Path) -> None:
    path, scene = tmp_path / "street.avi", SyntheticScene(seed=7, duration_s=30.0)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (160, 90))
    for frame in range(150):
        writer.write(cv2.resize(scene.render(5 * frame), (160, 90), interpolation=cv2.INTER_AREA))
    writer.release()
    wishes = {"cam0": Wish(source=str(path), fps=5.0, settings=json.dumps({"analysis_fps": 5}))}
    with ExitStack() as stack:
        gateway = stack.enter_context(pumped(GatewayServer("lab", tmp_path / "gateway", ANY, TOKEN, open_publisher)))
        server = CoordinatorServer("lab", tmp_path / "coordinator", ANY, gateway.socket.endpoint, TOKEN)
        stack.enter_context(pumped(server, lambda it: it.coordinator.set_cameras(wishes, boot_clock(), time.time())))
        store = stack.enter_context(pumped(StoreServer(tmp_path / "store", ANY, TOKEN)))
        ends = gateway.socket.endpoint, server.socket.endpoint, TOKEN

        def a_node(name: str) -> Any:
            node = FleetNode(name, tmp_path / name, LEARNS, *ends, capacity_fps=100.0, store=store.socket.endpoint)
            return stack.enter_context(pumped(node))

        def watches(name: str) -> bool:
            camera = server.coordinator.status(boot_clock(), time.time()).cameras[0]
            return (camera.state, camera.node) == ("watching", name)

        first = a_node("north")
        wait_for(lambda: watches("north"), 2 * DEADLINE_S)
        wait_for(lambda: bool(store.store.look("cam0").versions), DEADLINE_S)
        first.halt.set()  # the machine is gone, with its disk
        os.kill(engine_pid(first), signal.SIGKILL)
        a_node("south")
        wait_for(lambda: watches("south"), DEADLINE_S)
        learned = version_folders(tmp_path / "north/engine/state/models/cam0")[0]
    taken = version_folders(tmp_path / "south/engine/state/models/cam0")[0]
    assert (taken / "model.json").read_bytes() == (learned / "model.json").read_bytes()
    said = {name: (tmp_path / name / "engine/engine.log").read_text() for name in ("north", "south")}
    assert "cam0: learn" in said["north"]
    assert "cam0: learn" not in said["south"]
