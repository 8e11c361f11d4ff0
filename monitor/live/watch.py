"""The main loop: results in; scores, alerts and health out to every sink, in the order publish, record, draw.

Runs in the main thread, the only one that touches sinks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from monitor.errors import RunError
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.learning.coordinator import Learning
from monitor.learning.learning_plan import LearningPlan
from monitor.live.pipeline import Pipeline
from monitor.live.sink import CameraReport, RunReport, Sink
from monitor.live.stats import History, Quantiles, Rate
from monitor.sources.source import Source
from monitor.states import LOST, CameraState
from monitor.types import ScoredFrame

TICK_S = 0.1
"""How often the loop looks at everything else but results: with many cameras, reports of all cost more than scores."""


_BEHIND_S, _NEARLY_S = 2.0, 1.0
"""A file that is so far behind its pace is overloaded, until it has come nearly up with it."""


class _CameraStats:
    """The running figures of one camera."""

    def __init__(self) -> None:
        self.score = math.nan
        self.history = History()
        self.fps_in, self.fps_analysed = Rate(), Rate()
        self.overload = Rate()
        self.behind = False  # a file that is played slower than it should be
        self.age = Quantiles()
        self.seen = 0  # frames that have come out of the pipeline
        self.unscored: str | None = ""  # why not one frame has been scored so far; None once one has
        self.state: tuple[CameraState, str] | None = None
        self.since = self.looked_s = -math.inf  # that state; when it was looked at last
        self.advice = ""

    def add(self, judgement: Judgement) -> None:
        frame = judgement.scored.frame
        self.score = judgement.score
        self.advice = judgement.advice or self.advice
        self.age.add(judgement.scored.scored_at - frame.captured_at)
        if not math.isnan(judgement.score):
            self.history.add(frame.time_s, judgement.score)
            self.unscored = None
        elif self.unscored is not None and not frame.health.scored:
            self.unscored = frame.health.detail


class Watch:
    """Runs the loop until every source has ended, ``stop`` is set or ``duration_s`` is over."""

    def __init__(
        self,
        pipeline: Pipeline,
        monitors: Mapping[str, CameraMonitor],
        sources: Mapping[str, Source],
        sinks: Sequence[Sink],
        clock: Callable[[], float] = time.monotonic,
        learning: Learning | None = None,
    ) -> None:
        self._learning = learning or Learning((), _no_model)
        self._pipeline = pipeline
        self._monitors = dict(monitors)
        self._sources = dict(sources)
        self._sinks = sinks
        self._first_segments: dict[str, int] = {}
        self._clock = clock
        self._started = clock()
        self._stats = {name: _CameraStats() for name in sources}

    def add(self, monitor: CameraMonitor | None, source: Source, first_segment: int) -> None:
        """Take up a camera that the pipeline has added; frames of an earlier camera of its name are passed over.

        monitor: None for a camera that learns.
        """
        name = source.name
        self._sources[name] = source
        self._stats[name], self._first_segments[name] = _CameraStats(), first_segment
        if monitor is not None:
            self.judge(monitor)

    def judge(self, monitor: CameraMonitor) -> None:
        """Judge a camera by this from now on: it has learned, or its model is another. Its open event ends."""
        before = self._monitors.get(monitor.camera)
        if before is not None:
            for alert in before.close():
                self._tell(alert)
            monitor.count_from(before.events)
        self._monitors[monitor.camera] = monitor
        for sink in self._sinks:
            sink.added(monitor)

    def remove(self, name: str) -> None:
        """Let go of a camera, before the pipeline does: its open event ends, its state is told as removed."""
        monitor = self._monitors.pop(name, None)
        for alert in monitor.close() if monitor is not None else ():
            self._tell(alert)
        report = replace(self._report(name, self._clock()), state=CameraState.ENDED, detail="removed", alarmed=False)
        for sink in self._sinks:
            sink.health(report)
            sink.removed(name)
        del self._sources[name], self._stats[name]
        self._first_segments.pop(name, None)

    def run(
        self, stop: threading.Event, duration_s: float | None = None, on_tick: Callable[[], None] = lambda: None
    ) -> RunReport:
        """Watch; at the end close open events, tell every sink, and return the last report.

        on_tick: called about ten times a second between frames; may add and remove cameras.

        Raises the first error of a pipeline thread, after the sinks have been told.
        """
        next_tick = -math.inf
        with self._pipeline.running() as results:
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
                for monitor in self._monitors.values():
                    for alert in monitor.close():
                        self._tell(alert)
                self._learning.finish(lambda name: self._pipeline.status(name).state)
                last = self._tick()
        return last

    def _take(self, scored: ScoredFrame) -> None:
        name = scored.frame.camera
        if name not in self._sources or scored.frame.segment < self._first_segments.get(name, 0):
            return  # the camera has been removed, or replaced by another of its name
        self._stats[name].seen += 1
        if self._learning.without_model(name):
            self._stats[name].age.add(scored.scored_at - scored.frame.captured_at)
            self._learning.take(scored)
            return
        monitor = self._monitors.get(name)
        if monitor is None or scored.model not in ("", monitor.scale.model_id):
            return  # scored before the model was exchanged
        judgement = monitor.update(scored)
        self._stats[name].add(judgement)
        for sink in self._sinks:
            sink.score(judgement)
        for alert in judgement.alerts:
            self._tell(alert)

    def _tell(self, alert: Alert) -> None:
        report = self._report(alert.camera, self._clock())
        for sink in self._sinks:
            sink.alert(alert, report)

    def _end_of_the_lost(self) -> None:
        """End the open events of cameras and files that give no more frames, once their last ones have been judged."""
        for name, monitor in self._monitors.items():
            if not monitor.alarmed or self._pipeline.status(name).state not in LOST:
                continue
            queue = self._pipeline.counters(name)
            if self._stats[name].seen >= queue.put - queue.dropped:
                for alert in monitor.close():
                    self._tell(alert)

    def _tick(self) -> RunReport:
        now = self._clock()
        self._end_of_the_lost()
        reports = tuple(self._report(name, now) for name in self._sources)
        for report in reports:
            stats = self._stats[report.name]
            if stats.state != (report.state, report.detail):
                stats.state = (report.state, report.detail)
                for sink in self._sinks:
                    sink.health(report)
            stats.since, stats.looked_s = report.since, now
        run = RunReport(now - self._started, self._pipeline.depth(), reports)
        for sink in self._sinks:
            sink.tick(run)
        return run

    def _report(self, name: str, now: float) -> CameraReport:
        status, queue = self._pipeline.status(name), self._pipeline.counters(name)
        stats, monitor = self._stats[name], self._monitors.get(name)
        state, detail = status.state, status.detail
        stats.behind = status.behind_s > (_NEARLY_S if stats.behind else _BEHIND_S)
        if state is CameraState.ONLINE and stats.overload.update(now, queue.dropped) > 0:
            state, detail = CameraState.OVERLOADED, "frames are dropped: lower analysis_fps or use a faster device"
        elif state is CameraState.ONLINE and stats.behind:
            state, detail = CameraState.OVERLOADED, "played slower than asked for: lower analysis_fps or the speed"
        elif state is CameraState.ONLINE and stats.advice:
            state, detail = CameraState.DRIFTED, stats.advice
        report = CameraReport(
            name=name,
            source=self._sources[name].label,
            state=state,
            since=status.since,
            detail=detail,
            score=stats.score,
            alarmed=monitor is not None and monitor.alarmed,
            history=tuple(stats.history.values()),
            fps_in=stats.fps_in.update(now, status.frames_in),
            fps_analysed=stats.fps_analysed.update(now, stats.age.count),
            age_p50_s=stats.age.quantile(0.5),
            age_p99_s=stats.age.quantile(0.99),
            frames_in=status.frames_in,
            analysed=stats.age.count,
            unscored=stats.unscored or "",
            dropped=queue.dropped,
            reconnects=status.reconnects,
            stalls=status.stalls,
            missing=status.missing,
            unreadable=status.unreadable,
            events=0 if monitor is None else monitor.events,
            rests_on_s=None if monitor is None else monitor.scale.rests_on_s,
        )
        report = self._learning.amend(report)
        # The state told may be another than the capture's, and begins when it is told first.
        if stats.state is not None and status.since < stats.looked_s:
            report = replace(report, since=stats.since if report.state is stats.state[0] else now)
        return report


def _no_model(plan: LearningPlan) -> NoReturn:
    raise RunError(f"nothing loads a model for {plan.name}")
