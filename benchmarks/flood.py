"""Floods a publisher from hostile or broken peers; measures what an honest subscriber notices.

    python -m benchmarks.flood [--seconds 8] [--only NAME]

A separate program publishes twenty alerts per second, like the monitor: first into the journal, then to subscribers.
One honest subscriber receives them. Meanwhile, another process does one kind of harm at full speed (see ATTACKS). For
each kind, one line gives the age of alerts when they arrive (middle, 99th percentile, highest), alerts that never came,
the longest pause between heartbeats, how long another subscriber needed to join during the flood, the highest memory of
the publisher, and how long it needed to end.

The exit code is 1 if the publisher died, if an alert is missing in the journal, or if the 99th percentile is above
200 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.publisher import Publisher
from monitor.states import AlertEvent, Phase

ALERT_EVERY_S, TICK_S = 0.05, 0.1
GOOD_P99_S = 0.2
DEADLINE_S = 30.0
PICTURE_BYTES = 200_000
"""Pictures of the alerts that are in the journal before the flood begins: a page of a replay then has 1 MB."""
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
_DEALER = READY.replace(b"\x19", b"\x1c").replace(b"\3SUB", b"\6DEALER")
ANY = "tcp://127.0.0.1:*"


# The harm that peers do. Each runs until it is killed, with the addresses of the alerts and the history.


def nothing(alerts: str, history: str) -> None:  # noqa: ARG001
    """No harm, for comparison."""
    time.sleep(3600)


def replays_and_dies(alerts: str, history: str) -> None:  # noqa: ARG001
    """Request 2,000 pages of 1 MB, read none, die; again and again."""
    while True:
        child = os.fork()
        if not child:
            asking = zmq.Context().socket(zmq.DEALER)
            asking.connect(history)
            for _ in range(2000):
                asking.send(b'{"request": "replay", "after": 0}')
            time.sleep(4.5)  # just before the transport's first heartbeat, which finds the connection dead
            os._exit(0)  # without closing the socket: the kernel resets the connection
        os.waitpid(child, 0)
        time.sleep(0.5)


def reads_nothing(alerts: str, history: str) -> None:  # noqa: ARG001
    """Twenty subscribers to everything that never read."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [context.socket(zmq.SUB) for _ in range(20)]
    for deaf in sockets:
        deaf.rcvhwm, deaf.rcvbuf = 1, 4096
        deaf.subscribe("")
        deaf.connect(alerts)
    time.sleep(3600)


def toggles(alerts: str, history: str) -> None:  # noqa: ARG001
    """Subscribe and unsubscribe as fast as possible."""
    flooding = zmq.Context().socket(zmq.XSUB)
    flooding.sndhwm = 100_000
    flooding.connect(alerts)
    while True:
        flooding.send(b"\1heartbeat/")
        flooding.send(b"\0heartbeat/")


def long_topics(alerts: str, history: str) -> None:  # noqa: ARG001
    """Subscribe to 420 topics of 60 kB, in eight connections."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [context.socket(zmq.SUB) for _ in range(8)]
    for number, subscribing in enumerate(sockets):
        subscribing.connect(alerts)
        for topic in range(420):
            subscribing.subscribe(f"{number}-{topic}-".ljust(60_000, "x"))
    time.sleep(3600)


def many_topics(alerts: str, history: str) -> None:  # noqa: ARG001
    """Subscribe to ever more topics."""
    subscribing = zmq.Context().socket(zmq.XSUB)
    subscribing.sndhwm = 100_000
    subscribing.connect(alerts)
    number = 0
    while True:
        number += 1
        subscribing.send(b"\1alert/%d/" % number)


def many_connections(alerts: str, history: str) -> None:
    """Open connections as fast as possible, and keep 500 of them."""
    ports = [_port(alerts), _port(history)]
    kept: list[socket.socket] = []
    while True:
        with suppress(OSError):
            kept.append(socket.create_connection(("127.0.0.1", ports[len(kept) % 2]), timeout=1.0))
        if len(kept) > 500:
            kept.pop(0).close()


def garbage(alerts: str, history: str) -> None:
    """Send random bytes, to both sockets."""
    while True:
        for address in (alerts, history):
            _pour(address, b"", os.urandom(65_536))


def pings(alerts: str, history: str) -> None:
    """Send heartbeats of the transport as fast as possible."""
    del history
    while True:
        _pour(alerts, GREETING + READY, b"\x04\x0b\x04PING\0\0ping" * 5000)


def crowd(alerts: str, history: str) -> None:
    """Keep 300 connections that do nothing else, half of them to the history."""
    kept = []
    for number in range(300):
        with suppress(OSError):
            kept.append(socket.create_connection(("127.0.0.1", _port((alerts, history)[number % 2])), timeout=1.0))
            kept[-1].sendall(GREETING + (READY if number % 2 == 0 else _DEALER))
    time.sleep(3600)


def one_endless_message(alerts: str, history: str) -> None:
    """Send messages without an end to the history."""
    del alerts
    while True:
        _pour(history, GREETING + _DEALER, b"\1\x01x" * 20_000)


ATTACKS: dict[str, Callable[[str, str], None]] = {
    each.__name__.replace("_", " "): each
    for each in (
        nothing, replays_and_dies, reads_nothing, toggles, long_topics, many_topics, many_connections, crowd, garbage,
        pings, one_endless_message,
    )
}  # fmt: skip


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def _pour(endpoint: str, first: bytes, then: bytes) -> None:
    """Send the first bytes, then the others again and again, until the other side closes."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", _port(endpoint)), timeout=5.0) as pouring:
        pouring.sendall(first)
        while True:
            pouring.sendall(then)


# The publisher


def publish(folder: Path) -> None:
    """Publish until a line arrives on stdin. Prints the addresses, and at the end the number of alerts."""
    with (
        Journal(folder / "journal.sqlite3", max_mb=10_000) as journal,
        Publisher(ANY, ANY, ANY, node="flood", journal=journal) as publisher,
    ):
        for number in range(10):
            _publish_one(publisher, number, os.urandom(PICTURE_BYTES))
        print(publisher.alerts_endpoint, publisher.history_endpoint, flush=True)
        number, tick_at = 10, 0.0
        while not select.select([0], [], [], ALERT_EVERY_S)[0]:
            number += 1
            _publish_one(publisher, number, None)
            if time.monotonic() >= tick_at:
                publisher.tick(time.monotonic())
                tick_at = time.monotonic() + TICK_S
        publisher.end("done: the flood is over")
    print(number, flush=True)


def _publish_one(publisher: Publisher, number: int, picture: bytes | None) -> None:
    publisher.publish_alert(
        "gate",
        AlertEvent(number, Phase.END, 1.0, 2.0, 1.2, 1.5, 1.0, notify=True),
        started_at=time.time(),
        ended_at=None,
        model=ModelRef(id="m", hash="h"),
        frame_age_s=0.0,
        dropped_frames=0,
        jpeg=picture,
    )


# The measurement


@dataclass
class Figures:
    """What the honest subscriber noticed. Times in seconds, memory in MB."""

    attack: str
    ages: list[float] = field(default_factory=list)
    missing: int = 0
    heartbeat_pause_s: float = 0.0
    join_s: float = float("inf")
    memory_mb: float = 0.0
    end_s: float = 0.0
    exit_code: int | None = None
    journalled: bool = False

    @property
    def p99_s(self) -> float:
        """The age that 99% of the alerts did not exceed."""
        return sorted(self.ages)[int(0.99 * len(self.ages))] if self.ages else float("inf")

    @property
    def good(self) -> bool:
        """True if the publisher survived, stored every alert, and was fast."""
        return self.exit_code == 0 and self.journalled and self.p99_s <= GOOD_P99_S

    def row(self) -> str:
        """A line of the table."""
        middle = statistics.median(self.ages) if self.ages else float("inf")
        ages = " | ".join(f"{1000 * age:6.0f}" for age in (middle, self.p99_s, max(self.ages, default=float("inf"))))
        ended = f"{self.end_s:.1f} s" if self.exit_code == 0 else f"died ({self.exit_code})"
        return (
            f"| {self.attack:19} | {ages} | {self.missing:7} | {self.heartbeat_pause_s:5.1f} s | "
            f"{self.join_s:4.1f} s | {self.memory_mb:5.0f} | {ended:>10} |"
        )


HEAD = (
    "| attack              | p50 ms | p99 ms | max ms | missing |   pause |  joins |    MB |       ends |\n"
    "| ---                 |   ---: |   ---: |   ---: |    ---: |    ---: |   ---: |  ---: |       ---: |"
)


def measure(attack: str, seconds: float, folder: Path) -> Figures:
    """Run one attack for this many seconds."""
    figures = Figures(attack)
    base = [sys.executable, "-m", "benchmarks.flood"]
    publisher = subprocess.Popen([*base, "publish", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert publisher.stdin is not None
    assert publisher.stdout is not None
    alerts, history = publisher.stdout.readline().decode().split()
    attacker: subprocess.Popen[bytes] | None = None
    with zmq.Context() as context, context.socket(zmq.SUB) as honest:
        honest.linger = 0
        honest.connect(alerts)
        for topic in ("alert/", "heartbeat/"):
            honest.subscribe(topic)
        try:
            if not honest.poll(int(DEADLINE_S * 1000)):
                raise RuntimeError("the honest subscriber receives nothing")
            attacker = subprocess.Popen([*base, "attack", attack, alerts, history], start_new_session=True)
            with context.socket(zmq.SUB) as late:
                late.linger = 0
                late.subscribe("alert/")
                _listen(honest, late, alerts, publisher, figures, seconds)
            _stop(publisher, figures, honest)
        finally:
            for child in (attacker, publisher):
                if child is not None:
                    child.kill()
                    child.wait()
    with closing(sqlite3.connect(folder / "journal.sqlite3")) as journal:
        ((count, span),) = journal.execute("SELECT count(*), max(seq) FROM messages")
    figures.journalled = count == span
    return figures


def _listen(
    honest: zmq.Socket[bytes],
    late: zmq.Socket[bytes],
    alerts: str,
    publisher: subprocess.Popen[bytes],
    figures: Figures,
    seconds: float,
) -> None:
    """Receive for this many seconds. In the middle, the late subscriber joins."""
    seq = joins_at = None
    came_at = beat_at = time.monotonic()
    ends_at = came_at + seconds
    while time.monotonic() < ends_at and publisher.poll() is None:
        figures.memory_mb = max(figures.memory_mb, _memory_mb(publisher.pid))
        if joins_at is None and time.monotonic() > ends_at - seconds / 2:
            joins_at = time.monotonic()
            late.connect(alerts)
        if joins_at is not None and figures.join_s == float("inf") and late.poll(0):
            figures.join_s = time.monotonic() - joins_at
        if honest.poll(100):
            topic, body = honest.recv_multipart()[:2]
            message = json.loads(body)
            if topic == b"heartbeat/":
                figures.heartbeat_pause_s = max(figures.heartbeat_pause_s, time.monotonic() - beat_at)
                beat_at = time.monotonic()
                continue
            came_at = time.monotonic()
            figures.ages.append(time.time() - message["sent_at"])
            figures.missing += 0 if seq is None else message["seq"] - seq - 1
            seq = message["seq"]
    now = time.monotonic()
    figures.heartbeat_pause_s = max(figures.heartbeat_pause_s, now - beat_at)
    if now - came_at > 10 * ALERT_EVERY_S:
        figures.ages.append(now - came_at)  # the next alert is at least this late


def _stop(publisher: subprocess.Popen[bytes], figures: Figures, honest: zmq.Socket[bytes]) -> None:
    """End the publisher while the attack continues."""
    began = time.monotonic()
    with suppress(BrokenPipeError, subprocess.TimeoutExpired):
        publisher.communicate(b"stop\n", timeout=DEADLINE_S)
    del honest
    figures.end_s, figures.exit_code = time.monotonic() - began, publisher.poll()


def _memory_mb(pid: int) -> float:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def main() -> None:
    """Run one of the three roles."""
    if sys.argv[1:2] == ["publish"]:
        publish(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["attack"]:
        ATTACKS[sys.argv[2]](*sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each attack")
    parser.add_argument("--only", choices=ATTACKS, help="only this attack")
    arguments = parser.parse_args()
    print(HEAD, flush=True)
    good = True
    for attack in [arguments.only] if arguments.only else ATTACKS:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(attack, arguments.seconds, Path(folder))
        print(figures.row(), flush=True)
        good = good and figures.good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
