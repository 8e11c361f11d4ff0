"""Kills the monitor's publisher (SIGKILL) at random moments under alert load; checks that no journalled alert is lost.

    python -m benchmarks.kill [--times 200]
    python -m benchmarks.kill --stop-subscriber 60

A separate program publishes alerts as fast as it can, like the monitor: first into the journal, then to subscribers. It
is killed and started again many times. Another program follows with ``AlertSubscriber`` and records what it receives.
Every tenth time it is killed as well, and continues from the last token that it recorded. At the end, its record must
equal the content of the journal: each alert exactly once and in order.

With --stop-subscriber, the subscriber is instead stopped (SIGSTOP) for this many seconds while alerts with pictures are
published. The memory of the publisher must not grow with them, and the subscriber must still receive all of them.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber
from monitor.processes import ending_with_this_process
from monitor.states import AlertEvent, Phase

DEADLINE_S = 60.0
CAMERAS = ("door", "yard", "gate")
TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a run. ``published``: number of sends that returned, over all starts of the publisher."""

    kills: int
    subscriber_kills: int
    published: int
    journalled: int
    received: int
    doubled: int
    missing: int
    in_order: bool
    seconds: float

    @property
    def good(self) -> bool:
        """True if every journalled alert arrived once and in order, and every published alert was journalled."""
        return self.published <= self.journalled == self.received and not self.doubled and self.in_order

    def __str__(self) -> str:
        return (
            f"{self.kills} kills of the publisher, {self.subscriber_kills} of the subscriber, {self.seconds:.0f} s\n"
            f"published   {self.published}\njournalled  {self.journalled}\nreceived    {self.received}\n"
            f"duplicate   {self.doubled}\nmissing     {self.missing}\nin order    {'yes' if self.in_order else 'NO'}"
        )


def publish_for_ever(folder: Path, alerts: str, history: str, picture_bytes: int) -> None:
    """Publish events until a line arrives on stdin, then only answer requests. Prints one dot per sent alert."""
    picture = os.urandom(picture_bytes) or None
    with (
        Journal(folder / "journal.sqlite3", max_mb=10_000) as journal,
        Publisher(alerts, "tcp://127.0.0.1:*", history, node="kill", journal=journal) as publisher,
    ):
        number, tick_at, position = 0, 0.0, 0
        while True:
            number += 1
            for phase in Phase:
                event = AlertEvent(number, phase, 1.0, 2.0 if phase is Phase.END else None, 1.2, 1.5, 1.0, notify=True)
                sent = publisher.publish_alert(
                    CAMERAS[number % len(CAMERAS)],
                    event,
                    started_at=time.time(),
                    ended_at=None,
                    model=ModelRef(id="m", hash="h"),
                    frame_age_s=0.0,
                    dropped_frames=0,
                    jpeg=picture,
                )
                os.write(1, b".")
                position = sent.position or 0
            if picture is not None:
                time.sleep(0.01)  # about 200 pictures per second: many, but the disk does not fill up
            if time.monotonic() >= tick_at:
                publisher.tick(time.monotonic())
                tick_at = time.monotonic() + TICK_S
                if select.select([0], [], [], 0)[0]:
                    break
        os.write(1, f"\n{position} stopped\n".encode())
        while True:
            publisher.tick(time.monotonic())
            time.sleep(TICK_S)


def follow(alerts: str, log: Path) -> None:
    """Write one line per alert: its position and the token to continue from. Continues after the last line."""
    lines = log.read_text().splitlines() if log.exists() else []
    since = lines[-1].split()[1] if lines else "1h"
    with log.open("ab", buffering=0) as file, AlertSubscriber(alerts, since=since) as subscriber:
        for alert in subscriber.alerts():
            file.write(f"{alert.position} {subscriber.token}\n".encode())


class Child:
    """This program in another role, as a child process."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "benchmarks.kill", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, preexec_fn=ending_with_this_process()
        )
        self.output = b""

    def read(self, seconds: float, until: bytes | None = None) -> bool:
        """Read its output for this many seconds, or until it has printed ``until``; True if it has."""
        assert self.process.stdout is not None
        ends_at = time.monotonic() + seconds
        while until is None or until not in self.output:
            if not select.select([self.process.stdout], [], [], max(0.0, ends_at - time.monotonic()))[0]:
                return False
            chunk = self.process.stdout.read(65_536)
            if not chunk:
                return False
            self.output += chunk
        return True

    def kill(self) -> None:
        """Kill it (SIGKILL) and read the rest of its output. Does nothing the second time."""
        assert self.process.stdout is not None
        if self.process.stdout.closed:
            return
        self.process.kill()
        self.read(DEADLINE_S)
        self.process.communicate()


def run(times: int, folder: Path, seed: int = 0, kill_subscriber_every: int = 10) -> Figures:
    """Kill the publisher this many times and compare what the subscriber received."""
    random_moment = random.Random(seed)
    alerts, history = (f"tcp://127.0.0.1:{port}" for port in _free_ports())
    log = folder / "received.txt"
    began = time.monotonic()
    published = subscriber_kills = 0
    children: list[Child] = [subscriber := Child("follow", alerts, log)]
    try:
        for kill in range(times + 1):
            children.append(publisher := Child("publish", folder, alerts, history, "0"))
            if not publisher.read(DEADLINE_S, until=b"."):
                raise RuntimeError("the publisher does not publish anything")
            publisher.read(random_moment.uniform(0.0, 0.5))
            if kill == times:
                break
            publisher.kill()
            published += publisher.output.count(b".")
            if (kill + 1) % kill_subscriber_every == 0:
                subscriber.kill()
                subscriber_kills += 1
                children.append(subscriber := Child("follow", alerts, log))
        _stop(publisher, log)
        published += publisher.output.count(b".")
    finally:
        for child in children:
            child.kill()
    return _figures(folder, log, times, subscriber_kills, published, time.monotonic() - began)


def run_stopped(seconds: float, folder: Path, picture_bytes: int = 50_000) -> tuple[Figures, float, float]:
    """Stop the subscriber for this many seconds.

    Returns the result, and the memory of the publisher before and its largest memory, both in MB.
    """
    alerts, history = (f"tcp://127.0.0.1:{port}" for port in _free_ports())
    log = folder / "received.txt"
    began = time.monotonic()
    publisher = Child("publish", folder, alerts, history, str(picture_bytes))
    subscriber = Child("follow", alerts, log)
    try:
        while not log.exists() or not log.stat().st_size:
            publisher.read(0.1)
            if time.monotonic() > began + DEADLINE_S:
                raise RuntimeError("the subscriber receives nothing")
        before = largest = _memory_mb(publisher)
        subscriber.process.send_signal(signal.SIGSTOP)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            publisher.read(0.1)
            largest = max(largest, _memory_mb(publisher))
        subscriber.process.send_signal(signal.SIGCONT)
        _stop(publisher, log)
    finally:
        publisher.kill()
        subscriber.kill()
    figures = _figures(folder, log, 0, 0, publisher.output.count(b"."), time.monotonic() - began)
    return figures, before, largest


def _stop(publisher: Child, log: Path) -> None:
    """Stop publishing, and wait until the subscriber has recorded the last alert."""
    assert publisher.process.stdin is not None
    publisher.process.stdin.write(b"stop\n")
    if not publisher.read(DEADLINE_S, until=b"stopped\n"):
        raise RuntimeError("the publisher does not stop")
    last = publisher.output.split()[-2].decode()
    ends_at = time.monotonic() + DEADLINE_S
    while f"\n{last} " not in _tail(log):
        publisher.read(0.1)
        if time.monotonic() > ends_at:
            raise RuntimeError("the subscriber never received the last alert")


def _figures(folder: Path, log: Path, kills: int, subscriber_kills: int, published: int, seconds: float) -> Figures:
    """Compare the received alerts with the content of the journal."""
    received = [int(line.split()[0]) for line in log.read_text().splitlines()]
    with closing(sqlite3.connect(folder / "journal.sqlite3")) as journal:
        kept = [p for (p,) in journal.execute("SELECT position FROM messages WHERE topic LIKE 'alert/%' ORDER BY 1")]
    return Figures(
        kills=kills,
        subscriber_kills=subscriber_kills,
        published=published,
        journalled=len(kept),
        received=len(received),
        doubled=len(received) - len(set(received)),
        missing=len(set(kept) - set(received)),
        in_order=received == kept,
        seconds=seconds,
    )


def _memory_mb(child: Child) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{child.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _tail(file: Path) -> str:
    return "\n" + file.read_bytes()[-500:].decode() if file.exists() else ""


def _free_ports() -> list[int]:
    """Two free ports."""
    with socket.socket() as first, socket.socket() as second:
        for holder in (first, second):
            holder.bind(("127.0.0.1", 0))
        return [first.getsockname()[1], second.getsockname()[1]]


def main() -> None:
    """Run one of the three roles."""
    if sys.argv[1:2] == ["publish"]:
        publish_for_ever(Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
    elif sys.argv[1:2] == ["follow"]:
        follow(sys.argv[2], Path(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--times", type=int, default=200)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--stop-subscriber", type=float, metavar="SECONDS")
        arguments = parser.parse_args()
        with tempfile.TemporaryDirectory() as folder:
            if arguments.stop_subscriber is None:
                figures = run(arguments.times, Path(folder), arguments.seed)
            else:
                figures, before, largest = run_stopped(arguments.stop_subscriber, Path(folder))
                print(f"memory of the publisher  {before:.0f} MB before, at most {largest:.0f} MB")
        print(figures)
        sys.exit(0 if figures.good else 1)


if __name__ == "__main__":
    main()
