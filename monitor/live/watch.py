"""The main loop: it takes results and gives scores, alerts and health to every sink: publish, then record, then draw.

It runs in the main thread, the only thread that uses the sinks and the fleet.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from monitor.errors import RunError
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.learning.learning_plan import LearningPlan
from monitor.live.fleet import Fleet, Member
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.states import LOST, REMOVED, CameraState
from monitor.text.redaction import redact
from monitor.types import ScoredFrame

log = logging.getLogger(__name__)

TICK_S = 0.1
"""Seconds between two reports, also if results arrive more often: reports of many cameras take longer than scores."""


class Watch:
    """Runs the loop until every source has ended, ``stop`` is set or ``duration_s`` is over.

    It reports the fleet's changes to sinks and learning: a camera joins, gets a new model or monitor, or leaves.

    counted  camera -> what earlier runs have counted, oldest first: watched seconds, the alarms in them, blind seconds
    """

    def __init__(
        self,
        fleet: Fleet,
        sinks: Sequence[Sink],
        clock: Callable[[], float] = time.monotonic,
        learning: Learning | None = None,
        counted: Mapping[str, Sequence[tuple[float, int, float]]] | None = None,
    ) -> None:
        self._fleet = fleet
        self._sinks = sinks
        self._clock = clock
        self._learning = learning or Learning((), _no_model)
        self._started = clock()
        self._counted: dict[str, Sequence[tuple[float, int, float]]] = dict(counted or {})
        self._numbered: dict[str, int] = {}  # events of cameras that have left: the next one has another number
        fleet.observe(self)

    def recall(self, camera: str, counted: Sequence[tuple[float, int, float]]) -> None:
        """What earlier runs, or others, have counted of a camera that is added later: as ``counted``."""
        self._counted[camera] = counted

    def counted_of(self, camera: str) -> Sequence[tuple[float, int, float]]:
        """What was counted of a camera that was removed, with what was recalled of it."""
        return self._counted.get(camera, ())

    def joined(self, member: Member) -> None:
        """Start learning if the camera has a plan for it; report the camera to the sinks if it has a monitor."""
        for part in self._counted.pop(member.name, ()):
            member.figures.alarms.recall(*part)
        if member.camera.learning is not None:
            self._learning.begin(member.camera.learning)
        if member.monitor is not None:
            self._number_on(member.monitor)
            for sink in self._sinks:
                sink.added(member.monitor)

    def judged_anew(self, member: Member, before: CameraMonitor | None) -> None:
        """End the open event. The numbering of the camera's events continues."""
        assert member.monitor is not None
        if before is not None:
            self._close(member, before)
            member.monitor.count_from(before.events)
        else:
            self._number_on(member.monitor)
        self._learning.adopted(member.name)
        for sink in self._sinks:
            sink.added(member.monitor)

    def _number_on(self, monitor: CameraMonitor) -> None:
        """A camera is back that was in this run before: no two of its events have one id."""
        monitor.count_from(max(monitor.events, self._numbered.get(monitor.camera, 0)))

    def leaving(self, member: Member) -> None:
        """End the open event and report the camera as removed."""
        if member.monitor is not None:
            self._close(member, member.monitor)
            self._numbered[member.name] = member.monitor.events
        report = replace(self._report(member, self._clock()), state=CameraState.ENDED, detail=REMOVED, alarmed=False)
        self._counted[member.name] = member.figures.alarms.parts
        for sink in self._sinks:
            sink.health(report)
            sink.removed(member.name)
        self._learning.end(member.name)

    def run(
        self, stop: threading.Event, duration_s: float | None = None, on_tick: Callable[[], None] = lambda: None
    ) -> RunReport:
        """Watch. At the end, close open events, report them to every sink, and return the last report.

        on_tick: called about ten times per second between frames; may change the fleet.

        Raises the first error of a pipeline thread, after the sinks have received the last report.
        """
        next_tick = -math.inf
        with self._fleet.pipeline.running() as results:
            try:
                while not stop.is_set() and (duration_s is None or self._clock() - self._started < duration_s):
                    batch = results.get_all(TICK_S)
                    if batch is None:
                        break
                    tick = self._clock() >= next_tick
                    if tick:
                        self._tick()
                        next_tick = self._clock() + TICK_S
                    for scored in batch:
                        self._take(scored)
                    if tick:
                        on_tick()
            finally:
                for member in self._fleet:
                    if member.monitor is not None:
                        self._close(member, member.monitor)
                self._learning.finish(self.state_of)
                last = self._tick()
        return last

    def state_of(self, name: str) -> CameraState:
        """The state of a camera's capture; ENDED for a camera that is not in the fleet."""
        member = self._fleet.get(name)
        return CameraState.ENDED if member is None else member.feed.status.state

    def _take(self, scored: ScoredFrame) -> None:
        member = self._fleet.get(scored.frame.camera)
        if member is None or scored.frame.segment < member.first_segment:
            return  # the camera has been removed, or replaced by another of the same name
        member.figures.seen += 1
        for sink in self._sinks:
            sink.frame(scored)
        if self._learning.without_model(member.name):
            member.figures.arrived(scored)
            self._learning.take(scored)
            return
        monitor = member.monitor
        if monitor is None or scored.model not in ("", monitor.scale.model.id):
            return  # scored before the model was replaced
        member.figures.arrived(scored)
        try:
            judgement = monitor.update(scored)
        except Exception as error:  # noqa: BLE001 - an error of one camera must not end the others
            self._note_fault(member, error)
            return
        member.figures.judged(judgement)
        for sink in self._sinks:
            sink.score(judgement)
        for alert in judgement.alerts:
            self._tell(member, alert)
        self._learning.judged(judgement)

    @staticmethod
    def _note_fault(member: Member, error: Exception) -> None:
        """The camera's frame could not be judged. Its state shows this until a frame is judged again."""
        what = redact(f"{type(error).__name__}: {error}".strip(": "))
        if not member.figures.fault:
            log.error("%s: its frames cannot be judged (%s); other cameras are not affected", member.name, what)
            log.debug("%s: cannot be judged", member.name, exc_info=error)
        member.figures.fault = f"its frames cannot be judged, because of an unexpected error ({what})"

    def _close(self, member: Member, monitor: CameraMonitor) -> None:
        for alert in monitor.close():
            self._tell(member, alert)

    def _tell(self, member: Member, alert: Alert) -> None:
        report = self._report(member, self._clock())
        for sink in self._sinks:
            sink.alert(alert, report)

    def _end_of_the_lost(self) -> None:
        """End the open events of cameras and files without further frames, once their last frames have been judged."""
        for member in self._fleet:
            monitor = member.monitor
            state = member.feed.status.state
            if monitor is None or not monitor.alarmed or state not in LOST:
                continue
            if state is CameraState.STALLED and not member.camera.source.live:
                continue  # the file continues where it was: the same footage must give the same events
            if member.all_judged:
                self._close(member, monitor)

    def _tick(self) -> RunReport:
        now = self._clock()
        self._end_of_the_lost()
        eventful = {m.name for m in self._fleet if m.monitor is not None and m.monitor.alarmed}
        self._fleet.pipeline.balance(now, eventful)
        reports = []
        for member in self._fleet:
            report = self._report(member, now)
            reports.append(report)
            if member.figures.changed(report, now):
                for sink in self._sinks:
                    sink.health(report)
        run = RunReport(now - self._started, self._fleet.pipeline.depth(), tuple(reports))
        for sink in self._sinks:
            sink.tick(run)
        return run

    def _report(self, member: Member, now: float) -> CameraReport:
        feed, source = member.feed, member.camera.source
        return member.figures.report(
            source.name,
            source.label,
            feed.status,
            feed.counters,
            member.monitor,
            now,
            self._learning.amend,
            feed.relief.said,
        )


def _no_model(plan: LearningPlan) -> NoReturn:
    raise RunError(f"{plan.name} cannot learn, because this run loads no models: start it with a model")
