"""Kills a delivering monitor (SIGKILL) at random moments; counts messages lost and doubled, by idempotency key.

    python -m benchmarks.outbox [--times 200] [--seed 0]
    python -m benchmarks.outbox --latency 1500

A separate program publishes alerts as fast as its receiver takes them: first into the journal, then through the outbox
to a signed webhook. It is killed and started again many times. The receiver refuses one request in thirty (503), and
cuts the connection after it has accepted one in thirty. It remembers the keys that it has accepted, as the
documentation asks, and counts a repeated key as repeated. At the end the keys must equal the alerts in the journal, in
order. The exit code is 1 if they do not.

With --latency, it publishes this many alerts with pictures of 60 kB instead, one every 10 ms, and prints how long the
main thread needs for each: without receivers, with a webhook, a service and a broker that hang, and with a webhook and
a service that answer 500. It alternates three times, because other programs disturb.
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage, decode
from monitor.alerts.publisher import Publisher
from monitor.app.config import MonitorConfig
from monitor.app.deliveries import open_deliveries
from monitor.delivery.ledger import Ledger
from monitor.delivery.outbox_sink import Outbox
from monitor.delivery.webhook import Webhook
from monitor.delivery.webhook_settings import WebhookSettings
from monitor.processes import ending_with_this_process
from monitor.reports import RunReport
from monitor.states import AlertEvent, Phase
from monitor.testing.webhook_server import WebhookServer

SECRET = "a secret of the benchmark"  # noqa: S105 - it protects nothing
ANY = "tcp://127.0.0.1:*"
DEADLINE_S = 120.0
TICK_S = 0.01
_BURST = 10  # events at once, whenever all before are delivered


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a run. journalled: alerts in the journal at the end; keys: distinct keys accepted."""

    kills: int
    journalled: int
    keys: int
    lost: int
    doubled: int
    repeated: int
    in_order: bool
    seconds: float

    @property
    def good(self) -> bool:
        """True if every journalled alert was accepted once and in order."""
        return self.journalled == self.keys > 0 and not self.lost and not self.doubled and self.in_order

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.seconds:.0f} s\n"
            f"journalled        {self.journalled}\nkeys accepted     {self.keys}\n"
            f"lost              {self.lost}\ndoubled by key    {self.doubled}\n"
            f"repeated requests {self.repeated} (recognised by their key)\n"
            f"in order          {'yes' if self.in_order else 'NO'}"
        )


class Deduplicating(WebhookServer):
    """A receiver that accepts each key once, as the documentation asks. It fails now and then."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.kept: list[str] = []
        self._known: set[str] = set()
        self.repeated = 0
        self._chance = chance
        self._lock = threading.Lock()
        self.answer = self._reply

    def _reply(self, handler: BaseHTTPRequestHandler) -> None:
        key, dice = handler.headers["webhook-id"], self._chance.random()
        if dice < 0.03:
            handler.send_error(503)
            return
        with self._lock:
            if key in self._known:
                self.repeated += 1
            else:
                self._known.add(key)
                self.kept.append(key)
        if dice < 0.06:
            handler.close_connection = True  # accepted, but the answer is lost
            return
        handler.send_response(204)
        handler.end_headers()


def send(folder: Path, url: str, *, publish: bool) -> None:
    """Publish and deliver for ever; without ``publish``, deliver what is left and end."""
    webhook = Webhook("kill", WebhookSettings(url=url, secret=SECRET, picture=True))
    stop = threading.Event()
    with (
        Journal(folder / "journal.sqlite3") as journal,
        Ledger(folder / "outbox.sqlite3") as ledger,
        Publisher(ANY, ANY, ANY, node="kill", journal=journal) as publisher,
        Outbox(journal, ledger, [webhook], stop=stop) as outbox,
    ):
        number, deadline = 0, time.monotonic() + DEADLINE_S
        while publish or outbox.behind:
            if publish and not outbox.behind:
                for _ in range(_BURST):
                    number += 1
                    _publish(publisher, number)
            publisher.tick(time.monotonic())
            outbox.tick(RunReport(0.0, 0, ()))
            time.sleep(TICK_S)
            assert publish or time.monotonic() < deadline, "the rest was not delivered in time"


def _publish(
    publisher: Publisher,
    number: int,
    phases: Sequence[Phase] = (Phase.START, Phase.END),
    picture: bytes = bytes(2000),
) -> None:
    for phase in phases:
        event = AlertEvent(number, phase, 1.0, 2.0 if phase is Phase.END else None, 1.2, 1.5, 1.0, notify=True)
        publisher.publish_alert(
            "door",
            event,
            started_at=time.time(),
            ended_at=None,
            model=ModelRef(id="m", hash="h"),
            frame_age_s=0.0,
            dropped_frames=0,
            jpeg=picture,
        )


def run(times: int, folder: Path, seed: int) -> Figures:
    """Kill the sender this many times, then let it deliver the rest."""
    chance = random.Random(seed)
    began = time.monotonic()
    with Deduplicating(random.Random(seed + 1)) as receiver:
        for _ in range(times):
            before = len(receiver.received)
            child = _child(folder, receiver.url, "publish")
            with suppress(AssertionError):  # it is killed before its first delivery: that is a moment, too
                receiver.await_requests(before + 1, chance.choice((0.5, DEADLINE_S)))
            time.sleep(chance.expovariate(10.0))
            child.send_signal(signal.SIGKILL)
            assert child.wait(DEADLINE_S) == -signal.SIGKILL, "the sender ended by itself"
        assert _child(folder, receiver.url, "rest").wait(DEADLINE_S + 30) == 0, "the rest was not delivered"
    journalled = _journalled(folder / "journal.sqlite3")
    counts = Counter(receiver.kept)
    return Figures(
        kills=times,
        journalled=len(journalled),
        keys=len(counts),
        lost=len(set(journalled) - counts.keys()),
        doubled=sum(count - 1 for count in counts.values()) + len(counts.keys() - set(journalled)),
        repeated=receiver.repeated,
        in_order=receiver.kept == journalled,
        seconds=time.monotonic() - began,
    )


def _child(folder: Path, url: str, role: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.outbox", role, str(folder), url]
    return subprocess.Popen(command, preexec_fn=ending_with_this_process())


def _journalled(path: Path) -> list[str]:
    """The keys of all alerts in the journal, in order."""
    with closing(sqlite3.connect(path)) as journal:
        rows = journal.execute("SELECT topic, body FROM messages WHERE topic LIKE 'alert/%' ORDER BY position")
        messages = [decode([topic.encode(), body]).message for topic, body in rows]
    return [f"{m.event_id}:{m.phase}" for m in messages if isinstance(m, AlertMessage)]


def measure_latency(alerts: int, receivers: str) -> list[float]:
    """Milliseconds of the main thread per alert, sorted: publish, and one tick of every sink.

    receivers: ``none``, ``hang`` or ``500``
    """
    took = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(WebhookServer())
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # accepts, and never answers
        server.status = 500
        if receivers == "hang":
            server.answer = server.hang
        journal = stack.enter_context(Journal(folder / "journal.sqlite3"))
        publisher = stack.enter_context(Publisher(ANY, ANY, ANY, journal=journal))
        config = {
            "webhook": {"a": {"url": server.url, "secret": SECRET, "picture": True}},
            "notify": {"b": {"url": server.url.replace("http", "json", 1)}},
            "mqtt": {"host": "127.0.0.1", "port": silent.getsockname()[1]},
        }
        settings = MonitorConfig.model_validate({} if receivers == "none" else config)
        stop = threading.Event()
        sinks = open_deliveries(settings, journal, stack, stop=stop)
        for number in range(1, alerts + 1):
            began = time.perf_counter()
            _publish(publisher, number, phases=(Phase.START,), picture=bytes(60_000))
            publisher.tick(time.monotonic())
            for sink in sinks:
                sink.tick(RunReport(0.0, 0, ()))
            took.append(1e3 * (time.perf_counter() - began))
            time.sleep(0.01)
        stop.set()
    return sorted(took)


def main() -> None:
    """Run one of the roles."""
    if sys.argv[1:2] in (["publish"], ["rest"]):
        send(Path(sys.argv[2]), sys.argv[3], publish=sys.argv[1] == "publish")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency", type=int, metavar="ALERTS")
    arguments = parser.parse_args()
    if arguments.latency is not None:
        logging.disable()
        for receivers in ("none", "hang", "500") * 3:
            took = measure_latency(arguments.latency, receivers)
            p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
            print(f"{receivers:5} p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {took[-1]:.1f} ms", flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = run(arguments.times, Path(folder), arguments.seed)
    print(figures)
    sys.exit(0 if figures.good else 1)


if __name__ == "__main__":
    main()
