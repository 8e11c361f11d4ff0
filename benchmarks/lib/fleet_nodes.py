"""Simulated nodes that send alerts to a real gateway, and a subscriber that measures how old they are.

    python -m benchmarks.lib.fleet_nodes nodes ENDPOINT TOKEN FOLDER NODES CAMERAS PER_S SECONDS
    python -m benchmarks.lib.fleet_nodes subscriber ENDPOINT SECONDS

Each prints one line of JSON. PER_S: alerts per second over all cameras; 0: as many as the gateway takes.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import zmq

from monitor.alerts.messages import encode
from monitor.machines.fleet_messages import Renewal, Report, StepHead, Taken, decoded, encoded
from monitor.machines.fleet_socket import ClientSocket
from monitor.machines.gateway_server import RENEWAL, STEP, TAKEN
from monitor.machines.leases import RENEW_EVERY_S
from monitor.machines.step_journal import Step, StepJournal
from monitor.machines.step_sender import WINDOW, StepSender
from monitor.states import Phase
from monitor.testing.fleet_faults import percentile
from monitor.testing.simulated_fleet import alert_of


class _Node:
    def __init__(
        self, stack: ExitStack, folder: Path, name: str, endpoint: str, token: str, cameras: list[str]
    ) -> None:
        self.name, self.cameras = name, cameras
        journal = StepJournal(folder / f"{name}-{time.time_ns()}.sqlite3", power_safe=False)
        self.journal = stack.enter_context(journal)
        self.socket = stack.enter_context(ClientSocket(endpoint, token, "the gateway"))
        self.sender = StepSender(self.journal, name, f"{time.time_ns()}", self._send)
        self.number = self.count = 0
        self.renew_at = 0.0

    def _send(self, head: StepHead, step: Step) -> None:
        self.socket.send(STEP, encoded(head), step.topic.encode(), step.body)

    def alert(self) -> None:
        camera = self.cameras[self.count % len(self.cameras)]
        self.count += 1
        event = f"{self.name}-{camera}-{time.time_ns()}"
        body = encode(alert_of(self.name, camera, event, Phase.END, time.time()))
        self.sender.offer(self.journal.append(camera, 1, 1.0, f"alert/{camera}/", body)[0])

    def pump(self, now: float) -> None:
        if now >= self.renew_at:
            self.renew_at = now + RENEW_EVERY_S
            self.number += 1
            reports = {camera: Report(epoch=1, state="watching", since_s=1.0) for camera in self.cameras}
            renewal = Renewal(node=self.name, boot="b", number=self.number, cameras=reports)
            self.socket.send(RENEWAL, encoded(renewal))
        self.sender.tick(now)
        for kind, parts in self.socket.receive(0.0):
            if kind == TAKEN:
                self.sender.taken(decoded(Taken, parts[0]), now)


def run_nodes(endpoint: str, token: str, folder: Path, nodes: int, cameras: int, per_s: float, seconds: float) -> None:
    """Send alerts for a while, then what still waits."""
    with ExitStack() as stack:
        running = [
            _Node(stack, folder, f"node{n}", endpoint, token, [f"cam{c}" for c in range(n, cameras, nodes)])
            for n in range(nodes)
        ]
        began = now = time.monotonic()
        offered = 0
        while now - began < seconds:
            due = int(per_s * (now - began)) - offered if per_s else 0
            for _ in range(due):
                running[offered % nodes].alert()
                offered += 1
            for node in running:
                if not per_s:
                    for _ in range(WINDOW - node.sender.waiting):
                        node.alert()
                        offered += 1
                node.pump(now)
            time.sleep(0.002)
            now = time.monotonic()
        waiting = sum(node.sender.waiting for node in running)
        while not all(node.sender.done for node in running) and time.monotonic() - began < seconds + 30.0:
            for node in running:
                node.pump(time.monotonic())
            time.sleep(0.002)
        print(json.dumps({"offered": offered, "waiting": waiting}))


def run_subscriber(endpoint: str, seconds: float) -> None:
    """Measure the age of alerts, and the largest heartbeat."""
    socket = zmq.Context().socket(zmq.SUB)
    socket.rcvhwm = 0
    socket.connect(endpoint)
    for prefix in ("alert/", "heartbeat/"):
        socket.subscribe(prefix)
    ages, heartbeat = [], 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not socket.poll(100):
            continue
        topic, body, *_ = socket.recv_multipart()
        if topic == b"heartbeat/":
            heartbeat = max(heartbeat, len(body))
        else:
            ages.append(time.time() - json.loads(body)["started_at"])
    p50, p99 = (1000 * percentile(ages, share) for share in (0.5, 0.99))
    print(json.dumps({"count": len(ages), "p50_ms": p50, "p99_ms": p99, "heartbeat": heartbeat}))


if __name__ == "__main__":
    what, endpoint, *rest = sys.argv[1:]
    if what == "subscriber":
        run_subscriber(endpoint, float(rest[0]))
    else:
        token, folder, nodes, cameras, per_s, seconds = rest
        run_nodes(endpoint, token, Path(folder), int(nodes), int(cameras), float(per_s), float(seconds))
