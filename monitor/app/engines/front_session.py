"""One run with several engines, from the first frame to the summary: sinks, engines, reload, requests, the end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing

from rich.console import Console

from monitor.alerts.control import Forget
from monitor.alerts.control_desk import Asker
from monitor.alerts.control_queue import ControlQueue
from monitor.alerts.earlier_budgets import Counted
from monitor.alerts.publisher import Publisher
from monitor.app.camera_adding import CameraAdding
from monitor.app.camera_control import CameraControl
from monitor.app.camera_traces import places_of
from monitor.app.changed_run import ChangedRun
from monitor.app.choice_store import ChoiceStore
from monitor.app.choosing import Choosing
from monitor.app.config import MonitorConfig
from monitor.app.deliveries import check_journalled, open_deliveries
from monitor.app.engines.balance import engines_wanted
from monitor.app.engines.camera_moves import CameraMoves
from monitor.app.engines.carried_alerts import carried_evidence, carried_jpeg, carried_normal_at
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import Lease, Plan, Stop, Task
from monitor.app.engines.far_stores import VERDICTS
from monitor.app.engines.front import Front
from monitor.app.engines.front_cameras import SeatCameras
from monitor.app.engines.front_desk import FrontDesk
from monitor.app.engines.front_previews import FrontPreviews
from monitor.app.engines.front_reload import Find, FrontReload
from monitor.app.engines.local_placement import LocalPlacement
from monitor.app.engines.placement import Placement
from monitor.app.forgetting import Forgetter, RunMemory
from monitor.app.metrics_serving import lost_of, serve_metrics
from monitor.app.model_control import ModelControl
from monitor.app.outcome import Outcome
from monitor.app.own_model import Relearning
from monitor.app.page_process import check_published, open_page
from monitor.app.planning import calibration_store
from monitor.app.publishing import Publishing, open_publishing
from monitor.app.run_output import RunOutput, where_kept
from monitor.app.session import RunOptions
from monitor.app.state_place import where_state_is
from monitor.app.teaching_setup import open_verdicts
from monitor.delivery.mqtt_commands import Controls
from monitor.errors import MonitorError, RunError
from monitor.live.fleet import Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import TICK_S
from monitor.reports import RunReport
from monitor.sinks.dashboard.pressed_keys import Keys
from monitor.sinks.dashboard.screen import Dashboard, RunTitle
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.log_sink import LogSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sinks.score_record import Recorder
from monitor.sinks.service_manager import ServiceManagerSink
from monitor.sources.source import Source
from monitor.teaching.teacher import Teacher
from monitor.text.logs import stderr_silenced
from monitor.text.outside import safe
from monitor.text.terminals import can_redraw

log = logging.getLogger("monitor")

END_S = 30.0
"""Engines that have not ended so many seconds after they were asked to are killed. Most of it is for evidence."""


def engines_of(settings: MonitorConfig, sources: Sequence[Source]) -> int:
    """The number of engines of a run."""
    return engines_wanted(settings.engines, len(sources), len(os.sched_getaffinity(0)))


class EnginesSession:
    """Builds everything for ``run``. ``stop`` ends the run; ``reload`` makes it read config and models again.

    sources    of the run, checked
    find       reads the config again and finds its sources, for a reload
    engines    their number
    placement  starts them; None: as child processes
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: MonitorConfig,
        options: RunOptions,
        console: Console,
        find: Find,
        *,
        engines: int,
        max_frames: int | None = None,
        relearning: Relearning | None = None,
        placement: Placement | None = None,
    ) -> None:
        self._sources, self._settings, self._options, self._console = sources, settings, options, console
        self._engines, self._max_frames = engines, max_frames
        self._relearning = relearning or Relearning()
        self.placement = placement or LocalPlacement()
        self._out = RunOutput(console)
        self._publishing: PublishSink | None = None
        self._publisher: Publisher | None = None
        self._stores: dict[str, object] = {}
        self._teacher: Teacher | None = None
        self._queue: ControlQueue | None = None
        self._dashboard: Dashboard | None = None
        self._page = ""
        self._counted: Mapping[str, Sequence[Counted]] = {}
        self._moves: CameraMoves | None = None
        self._reloader = FrontReload(options.config, find, follow=options.follow_config)
        self.stop = threading.Event()

    @property
    def reload(self) -> threading.Event:
        """Set it to read the config file, if there is one, and the models again."""
        return self._reloader.requested

    def run(self) -> None:
        """Watch until the end, then print the summary.

        Raises the error of an engine, and RunError if a source could not be read to its end or gave no frame.
        """
        settings = self._settings
        if can_redraw(self._console) and not self._options.headless:
            self._out.say(where_state_is(settings))  # the dashboard hides log lines
        with ExitStack() as stack:
            stack.enter_context(closing(self.placement))
            sinks: list[Sink] = []
            moment = None
            front = self.front = Front(
                self.placement,
                self._begin,
                sinks,
                self._stores,
                moment=lambda *told: moment(*told) if moment is not None else None,
                restarted=lambda name: None if self._publishing is None else self._publishing.restarted(name),
            )
            self._moves = CameraMoves(front, settings, self.placement.send)
            sinks += self._sinks(stack)
            moment = None if self._publisher is None else self._publisher.publish_moment
            log.info("%s; %d engines watch", where_state_is(settings), self._engines)
            front.start([CarriedSource.of(source) for source in self._sources], self._engines, self._counted)
            try:
                self._watch()
            except MonitorError as error:
                self._end_engines(quietly=True)
                self._publish_end(f"failed: {error}")
                raise
            report = self._end_engines()
            outcome = Outcome(report, self.stop.is_set(), self._options.config, self._current().cameras)
            self._publish_end(outcome.how_it_ended())
        dashboard = self._dashboard
        if dashboard is not None:
            self._out.print(dashboard.last_alerts(where_kept(settings, self._options.record_alerts)))
        self._out.print(summary(report, self._console.width))
        if dashboard is not None and front.unfinished:  # these log lines disappeared with the dashboard
            self._out.say("", *front.unfinished)
        if outcome.stopped and (nothing := outcome.nothing_came()):  # only a warning: the exit code is 0
            log.warning("%s", nothing)
        if failures := outcome.problems(logged=dashboard is None) + self._out.problems():
            raise RunError("; ".join(failures))

    def _watch(self) -> None:
        """The main loop: until every source has ended, ``stop`` is set or the duration is over."""
        front, duration_s = self.front, self._options.duration_s
        next_tick, began_at = 0.0, None
        while not self.stop.is_set() and not front.over:
            front.pump(TICK_S)
            now = time.monotonic()
            if now < next_tick:
                continue
            next_tick = now + TICK_S
            if front.begun:
                began_at = began_at or now
                front.tick()
            self._tick()
            if duration_s is not None and began_at is not None and now - began_at >= duration_s:
                return

    def _tick(self) -> None:
        assert self._moves is not None
        self._reloader.tick(self._moves)
        self._moves.tick()
        if self._publisher is not None and self._publisher.control is not None:
            self._publisher.control.tick()
        if self._queue is not None:
            self._queue.tick()
        if self._dashboard is not None:
            self._dashboard.retitle(self._title(self._dashboard.endpoint))

    def _end_engines(self, *, quietly: bool = False) -> RunReport:
        """Let all engines end, and take what they still have to tell. Returns the last report."""
        front = self.front
        front.stop(Stop(hurry=self.stop.is_set()))
        deadline = time.monotonic() + END_S
        next_tick = 0.0
        while not front.over:
            try:
                front.pump(TICK_S)
            except MonitorError as error:  # one failure is enough
                if not quietly:
                    log.error("%s", error)  # noqa: TRY400 - its traceback helps nobody
            if time.monotonic() >= deadline:
                front.kill()
                deadline += END_S
            if time.monotonic() >= next_tick and self._publisher is not None:
                next_tick = time.monotonic() + TICK_S
                self._publisher.tick(time.monotonic())
        front.telling.close_events()
        return front.tick()

    def _begin(self, number: int, sources: Sequence[CarriedSource], leases: Sequence[Lease], again: bool) -> None:
        """Start an engine."""
        choices = self._settings.choices
        self.placement.start(
            Task(
                engine=number,
                plan=Plan(0, self._current(), sources, leases),
                epoch="" if self._publisher is None else self._publisher.epoch,
                verbose=self._options.verbose,
                max_frames=self._max_frames,
                relearn=not again,
                relearning=Relearning() if again else self._relearning,
                choices={} if choices is None else choices.choices,
                teaches=VERDICTS in self._stores,
            )
        )

    def _current(self) -> MonitorConfig:
        """The present settings of the run: a reload may have changed them."""
        return self._settings if self._moves is None else self._moves.settings

    def _publish_end(self, how: str) -> None:
        if self._publishing is not None:
            self._publishing.end(safe(how))

    def _title(self, endpoint: str) -> RunTitle:
        models, devices = self.front.models
        budgets = {self._current().budget_of(seat.name) for seat in self.front.seats}
        return RunTitle(
            node=self._settings.node,
            device=", ".join(devices) or "-",
            model=", ".join(models) or "none yet",
            endpoint=endpoint,
            false_alarms_per_day=budgets.pop() if len(budgets) == 1 else None,
            page=self._page,
        )

    def _sinks(self, stack: ExitStack) -> list[Sink]:
        """The sinks of which there is one per run, in the order publish, record, draw."""
        settings, options = self._settings, self._options
        check_journalled(settings)
        check_published(settings)
        sinks: list[Sink] = []
        publishing: Publishing | None = None
        with_dashboard = can_redraw(self._console) and not options.headless
        if not with_dashboard:
            logging.getLogger().setLevel(logging.DEBUG if options.verbose else logging.INFO)
        live = any(source.live for source in self._sources) or settings.playback.loop
        recorder = Recorder(options.record_scores, options.record_alerts, sort=not live and options.config is None)
        stack.enter_context(recorder)
        if settings.publish.enabled:
            publishing = open_publishing(settings, stack, demo=False)
            sinks += self._publishing_sinks(publishing, stack)
        sinks.append(recorder)
        if settings.metrics.enabled:
            given = dict if self._teacher is None else self._teacher.given.copy
            journal = None if publishing is None else publishing.journal
            lost = lost_of(sinks, (lambda: self.front.lost_evidence) if settings.evidence.enabled else None)
            sinks.append(serve_metrics(settings, stack, journal, lost, given))
        if with_dashboard:
            title = self._title("off" if publishing is None else publishing.publisher.alerts_endpoint)
            stack.enter_context(stderr_silenced())
            logging.getLogger().setLevel(logging.INFO)
            dashboard = Dashboard(self._console, title, None, Keys(fd=0))
            dashboard.remember(() if publishing is None else publishing.earlier)
            self._dashboard = stack.enter_context(dashboard)
            sinks.append(dashboard)
        else:
            sinks.append(LogSink())
        sinks.append(stack.enter_context(ServiceManagerSink()))
        return sinks

    def _publishing_sinks(self, publishing: Publishing, stack: ExitStack) -> list[Sink]:
        """Bus, journal, page, requests and receivers."""
        settings, publisher = self._settings, publishing.publisher
        self._publisher, self._counted = publisher, publishing.counted
        if settings.web.enabled:
            self._page = open_page(settings, publisher, stack, demo=False)
        verdicts = open_verdicts(publishing, stack)
        if verdicts is not None:
            none = Fleet(Pipeline(settings.queue))
            self._teacher = Teacher(verdicts, none, calibration_store(settings))
            self._stores[VERDICTS] = verdicts
        desk = FrontDesk(self.front, self.placement.send, self._teacher, verdicts)
        desk.serve_at(publisher.desk)
        memory = RunMemory(
            forgotten=desk.forgotten,
            moments=desk.forget_moments,
            normal=desk.forget_normal,
            memories=desk.forget_memory,
        )
        controls = [] if settings.choices is None else self._control(publisher, settings.choices, desk, memory)
        if verdicts is not None and publishing.journal is not None:
            places = places_of(settings, publishing.journal, verdicts)
            publisher.desk.serve(Forget, Forgetter(places, memory).serve)
        published = self._teacher.kept if self._teacher is not None else lambda *_: None
        self._publishing = PublishSink(
            publisher, carried_evidence, settings.publish.lost_after_s, published, carried_jpeg, carried_normal_at
        )
        sinks: list[Sink] = [self._publishing, *controls]
        if publisher.control is not None:
            sinks.append(previews := FrontPreviews(self.front, publisher, self.placement.send))
            previews.leases.serve_at(publisher.desk)
        if publishing.journal is not None:
            self._queue = ControlQueue(publisher.desk, Asker("mqtt"))
            asking = Controls(
                self._queue.ask,
                lambda name: self._current().budget_of(name),
                lambda name: self._current().is_armed(name),
            )
            sinks += open_deliveries(
                settings, publishing.journal, stack, stop=self.stop, controls=asking, memory=memory
            )
        return sinks

    def _control(self, publisher: Publisher, store: ChoiceStore, desk: FrontDesk, memory: RunMemory) -> list[Sink]:
        """Serve requests that change cameras."""
        cameras = SeatCameras(self.front, desk.calls, store)
        run = ChangedRun(store, cameras, self._current, self._reloader)
        choosing = Choosing(run, None if self._teacher is None else desk.what_if)
        choosing.serve_at(publisher.desk)
        control = CameraControl(run)
        control.serve_at(publisher.desk)
        CameraAdding(run).serve_at(publisher.desk)
        ModelControl(run).serve_at(publisher.desk)
        memory.choices = choosing.forget
        memory.known = lambda name: cameras.get(name) is not None
        memory.learning = lambda name: (camera := cameras.get(name)) is not None and camera.model == ""
        return [control]
