"""Messages that publishers send in tests, and a wait until their subscribers are connected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.states import AlertEvent, Phase, Reason

ANY = "tcp://127.0.0.1:*"
DEADLINE_S = 20.0
START = AlertEvent(1, Phase.START, 10.0, None, score=1.25, peak_score=1.5, peak_s=10.5, notify=True)


def publish_alert(
    publisher: Publisher, camera: str = "cam1", event: AlertEvent = START, jpeg: bytes = b""
) -> AlertMessage:
    return publisher.publish_alert(
        camera,
        event,
        started_at=1.5e9,
        ended_at=None if event.ended_s is None else 1.5e9 + 2.5,
        model=ModelRef(id="street", hash="ab12"),
        frame_age_s=0.1,
        dropped_frames=0,
        reasons=[Reason("speed", 3.0, 1.0, "px/frame")],
        jpeg=jpeg,
    )


def an_alert(seq: int = 1, epoch: str = "e1", camera: str = "cam1", **changes: Any) -> AlertMessage:
    values: dict[str, Any] = {
        "schema": 1, "node": "lab", "epoch": epoch, "seq": seq, "sent_at": 1.5e9, "event_id": f"{epoch}-{camera}-1",
        "phase": Phase.START, "camera": camera, "started_at": 1.5e9, "ended_at": None, "started_s": 10.0,
        "ended_s": None, "score": 1.2, "peak_score": 1.5, "expected_false_alarms_per_day": None, "notify": True,
        "model": ModelRef(id="street", hash="ab12"), "frame_age_s": 0.1, "dropped_frames": 0,
    }  # fmt: skip
    return AlertMessage(**(values | changes))


@contextmanager
def running_publisher(journal: Path, begin: Callable[[Publisher], object] = lambda _: None) -> Iterator[Publisher]:
    """A publisher with a journal in a thread of its own, which first calls ``begin`` with it, then ticks."""
    started, ended = threading.Event(), threading.Event()
    running: list[Publisher] = []

    def run() -> None:
        with Journal(journal) as rows, Publisher(ANY, ANY, ANY, node="lab", journal=rows) as publisher:
            begin(publisher)
            running.append(publisher)
            started.set()
            while not ended.wait(0.005):
                publisher.tick(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(DEADLINE_S)
    try:
        yield running[0]
    finally:
        ended.set()
        thread.join()


def await_subscriptions(publisher: Publisher, *topics: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not publisher.update_subscriptions(timeout_s=0.1) >= set(topics):
        assert time.monotonic() < deadline, f"nobody subscribed to {topics}"


def local(unix_s: float, shape: str = "%H:%M:%S") -> str:
    """A time as text in the time zone of the machine that runs the tests."""
    return time.strftime(shape, time.localtime(unix_s))
