"""A publisher with a control socket that runs in a thread, as in a monitor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.alerts.control_desk import Desk
from monitor.alerts.publisher import Publisher
from tests.helpers.publishing import ANY, DEADLINE_S


@contextmanager
def controlled(
    prepare: Callable[[Desk], None] = lambda _: None, *, control: str | None = ANY, keys: Path | None = None
) -> Iterator[Publisher]:
    """Publish in a thread until the end. prepare: says what the desk serves; called in that thread."""
    started, ended = threading.Event(), threading.Event()
    running: list[Publisher] = []

    def run() -> None:
        with Publisher(ANY, ANY, ANY, control, node="lab", keys=keys) as publisher:
            if publisher.control is not None:
                prepare(publisher.control.desk)
            running.append(publisher)
            started.set()
            while not ended.wait(0.005):
                publisher.tick(time.monotonic())
                if publisher.control is not None:
                    publisher.control.tick()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(DEADLINE_S)
        yield running[0]
    finally:
        ended.set()
        thread.join()
