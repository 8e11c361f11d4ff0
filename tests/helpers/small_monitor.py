"""What a page needs of a monitor: a publisher with a journal, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.states import AlertEvent, CameraState, Phase
from monitor.web.bus_reader import BusAddress
from tests.helpers.publishing import DEADLINE_S, publish_alert
from tests.helpers.web_page import JPEG


class SmallMonitor:
    """A publisher with a journal, in a thread that alone uses them. It has had three events of the camera ``door``."""

    def __init__(self, folder: Path, *addresses: str) -> None:
        self._folder, self._addresses = folder, addresses
        self._work: deque[Callable[[Publisher], object]] = deque()
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def do(self, work: Callable[[Publisher], object]) -> None:
        self._work.append(work)

    def _run(self) -> None:
        with (
            Journal(self._folder / "journal.sqlite3") as journal,
            Publisher(*self._addresses, node="lab", journal=journal) as publisher,
        ):
            self.address = BusAddress(publisher.alerts_endpoint, publisher.scores_endpoint)
            for number in (1, 2, 3):
                start = AlertEvent(number, Phase.START, 1.0, None, 1.2, 1.5 + number, 1.0, notify=True)
                publish_alert(publisher, "door", start, JPEG)
                publish_alert(publisher, "door", replace(start, phase=Phase.END, ended_s=2.0), JPEG)
            publisher.publish_health("door", CameraState.ONLINE, since=1.5e9)
            self._ready.set()
            while not self._stop.wait(0.01):
                while self._work:
                    self._work.popleft()(publisher)
                publisher.tick(time.monotonic())
