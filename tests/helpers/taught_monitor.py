"""A monitor that can be taught: a publisher with journal and control socket, a teacher and one camera, in a thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.sinks.alert_facts import model_ref
from monitor.states import CameraState, Phase
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.testing.fakes import LevelSource
from monitor.web.bus_reader import BusAddress
from tests.helpers.publishing import ANY, DEADLINE_S
from tests.helpers.teachable import monitor_that_learns_on, shown, teachable_model

CAMERA = "door"


class TaughtMonitor:
    """A context manager. ``show`` is called from any thread, and waits until the thread has done it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work: deque[Callable[[], None]] = deque()
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._number = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def show(self, level: int, *evidence: str) -> list[str]:
        """Light of this level for a moment, 25 being usual. Returns the ids of the events that it raises."""
        raised: list[str] = []
        done = threading.Event()

        def work() -> None:
            raised.extend(self._show(level, evidence))
            done.set()

        self._work.append(work)
        assert done.wait(DEADLINE_S)
        return raised

    def do(self, work: Callable[[Publisher], object]) -> None:
        """Have the publisher do something, in the thread."""
        done = threading.Event()

        def then() -> None:
            work(self._publisher)
            done.set()

        self._work.append(then)
        assert done.wait(DEADLINE_S)

    def _show(self, level: int, evidence: tuple[str, ...]) -> list[str]:
        member = self._fleet.get(CAMERA)
        assert member is not None
        assert member.monitor is not None
        model = member.camera.model
        monitor = monitor_that_learns_on(CAMERA, model)
        monitor.prototypes = member.monitor.prototypes
        found = []
        for alert in shown(model, monitor, [25] * 3 + [level] * 3 + [25] * 4):
            if alert.event.phase is Phase.START:
                self._number += 1
            now = time.time()
            alert = replace(alert, event=replace(alert.event, number=self._number), started_at=now)
            message = self._publisher.publish_alert(
                CAMERA, alert.event, started_at=now, ended_at=None if alert.event.ended_s is None else now + 1,
                model=model_ref(alert.scale), frame_age_s=0.1, dropped_frames=0, reasons=alert.reasons,
                evidence=evidence, name=alert.named.name if alert.named else "",
                alike=alert.named.alike if alert.named else None,
            )  # fmt: skip
            self._teacher.kept(alert, message.event_id)
            found.append(message.event_id)
        return list(dict.fromkeys(found))

    def _run(self) -> None:
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(self._folder / "journal.sqlite3"))
            store = stack.enter_context(VerdictStore(self._folder / "taught.sqlite3"))
            self._publisher = publisher = stack.enter_context(
                Publisher(ANY, ANY, ANY, ANY, node="lab", journal=journal)
            )
            model = teachable_model()
            monitor = monitor_that_learns_on(CAMERA, model)
            camera = Camera(LevelSource(CAMERA, []), model, CaptureSettings(), monitor)
            self._fleet = Fleet(Pipeline(), [camera])
            self._teacher = Teacher(store, self._fleet, CalibrationStore(self._folder / "calibrations"))
            assert publisher.control is not None
            self._teacher.serve_at(publisher.control.desk)
            self._teacher.added(monitor)
            self._teacher.apply()
            self.address = BusAddress(publisher.alerts_endpoint, publisher.scores_endpoint)
            publisher.publish_health(CAMERA, CameraState.ONLINE, since=1.5e9)
            self._ready.set()
            while not self._stop.wait(0.005):
                while self._work:
                    self._work.popleft()()
                publisher.control.tick()
                publisher.tick(time.monotonic())
