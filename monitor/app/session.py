"""One run of the monitor, from the first frame to the summary: it connects sinks, pipeline and main loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from monitor.alerts.control_desk import Asker
from monitor.alerts.control_queue import ControlQueue
from monitor.alerts.control_socket import ControlSocket
from monitor.alerts.earlier_budgets import Counted
from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.app.camera_adding import CameraAdding
from monitor.app.camera_control import CameraControl
from monitor.app.changed_run import ChangedRun, FleetCameras
from monitor.app.chooser import Chooser
from monitor.app.choosing import Choosing
from monitor.app.config import MonitorConfig
from monitor.app.deliveries import check_journalled, open_deliveries
from monitor.app.demo import DemoJudge, result_sentence, result_table, where_pictures_are
from monitor.app.forgetting import RunMemory
from monitor.app.metrics_serving import losses, serve_metrics
from monitor.app.model_control import ModelControl
from monitor.app.moments_place import kept_for_moments, moments_sink
from monitor.app.normal_place import normal_sink
from monitor.app.outcome import Outcome
from monitor.app.page_process import check_published, open_page
from monitor.app.planning import calibration_store, growing_plan, grown, learned, warn_of_short_footage, watching
from monitor.app.publishing import open_publishing
from monitor.app.reload import Prepare, Reloader
from monitor.app.run_output import RunOutput, where_kept
from monitor.app.state_place import where_state_is
from monitor.app.teaching_setup import open_teaching
from monitor.delivery.mqtt_commands import Controls
from monitor.errors import MonitorError, RunError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.learning.growing import Growing, GrowingPlan
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.sinks.calibration_sink import CalibrationSink
from monitor.sinks.dashboard.pressed_keys import Keys
from monitor.sinks.dashboard.screen import Dashboard, RunTitle
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.sinks.growing_sink import GrowingSink
from monitor.sinks.log_sink import LogSink
from monitor.sinks.moments.moments_sink import Clip, MomentsSink, Nearest
from monitor.sinks.previews.preview_sink import PreviewSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sinks.score_record import Recorder
from monitor.sinks.service_manager import ServiceManagerSink
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.state_folder import MEMORIES
from monitor.teaching.teacher import Teacher
from monitor.text.logs import stderr_silenced
from monitor.text.outside import safe
from monitor.text.terminals import can_redraw

log = logging.getLogger("monitor")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options that apply to one run only and are not in a config file.

    headless       True: log lines instead of the dashboard
    verbose        True: also log debug lines, without the dashboard
    duration_s     the run ends after this many seconds; None for no limit
    scene          the demo's scene, or None
    record_scores  file of JSON lines to write scores to, or None
    record_alerts  file of JSON lines to write alerts to, or None
    config         the config file, which can be read again during the run; None without one
    scratch        folder of the demo that is deleted after the run, or None
    follow_config  True: read the config file again whenever it has changed
    """

    headless: bool = False
    verbose: bool = False
    duration_s: float | None = None
    scene: SyntheticScene | None = None
    record_scores: Path | None = None
    record_alerts: Path | None = None
    config: Path | None = None
    scratch: Path | None = None
    follow_config: bool = False


class Session:
    """Builds everything for ``run``. ``stop`` ends the run; ``reload`` makes it read config and models again.

    ``fleet`` is the table of its cameras.

    cameras  the cameras at the start
    prepare  reads the config again and plans its cameras, for a reload
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        settings: MonitorConfig,
        options: RunOptions,
        console: Console,
        prepare: Prepare,
    ) -> None:
        self._settings = settings
        self._options = options
        self._console = console
        self.fleet = Fleet(Pipeline(settings.queue, cpu_fallback=settings.cpu_fallback), cameras)
        self._judge = DemoJudge(options.scene) if options.scene is not None else None
        self._publishing: PublishSink | None = None
        self._control: ControlSocket | None = None
        self._queue: ControlQueue | None = None
        self._chooser: Chooser | None = None
        self._teacher: Teacher | None = None
        self._counted: Mapping[str, Sequence[Counted]] = {}
        self._moments: MomentsSink | None = None
        self._dashboard: Dashboard | None = None
        self._page = ""
        self._out = RunOutput(console)
        self._reloader: Reloader | None = None
        if options.scene is None:
            self._reloader = Reloader(options.config, prepare, settings, self.fleet, follow=options.follow_config)
        self._learning = Learning((), lambda plan: learned(plan, self._current()), current=self._current)
        memories = settings.journal.path.parent / MEMORIES
        self._growing = Growing(memories, lambda plan: grown(plan, self._current()), self._current)
        self._memory = RunMemory(memories=self._growing.forget)
        self.stop = threading.Event()

    @property
    def reload(self) -> threading.Event | None:
        """Set it to read the config file, if there is one, and the models again; None in the demo."""
        return None if self._reloader is None else self._reloader.requested

    def run(self) -> None:
        """Watch until the end, then print the summary.

        Raises the error of a pipeline thread, and RunError if a source could not be read to its end or gave no frame.
        """
        learning, dashboard = self._learning, None
        unfinished: list[str] = []
        if self._judge is None and can_redraw(self._console) and not self._options.headless:
            self._out.say(where_state_is(self._settings))  # the dashboard hides log lines
        with ExitStack() as stack:
            sinks = self._sinks(stack)
            dashboard = self._dashboard
            if self._judge is None:
                log.info("%s", where_state_is(self._settings))
                warn_of_short_footage(member.camera for member in self.fleet)
            stack.callback(lambda: unfinished.extend(learning.close()))
            watch = Watch(self.fleet, sinks, learning=learning, counted=self._counted)
            if self._teacher is not None:
                self._teacher.apply()  # before the first frame

            def on_tick() -> None:
                if self._reloader is not None:
                    self._reloader.tick()
                learning.tick(watch.state_of, self._adopt)
                if self._control is not None:
                    self._control.tick()
                if self._queue is not None:
                    self._queue.tick()
                if self._chooser is not None:
                    self._chooser.tick()
                if self._teacher is not None:
                    self._teacher.apply()
                self._growing.tick(self._adopt)

            try:
                report = watch.run(self.stop, self._options.duration_s, on_tick)
            except MonitorError as error:
                self._publish_end(f"failed: {error}")
                raise
            outcome = Outcome(report, self.stop.is_set(), self._options.config, self._settings.cameras)
            self._publish_end(outcome.how_it_ended())
        if dashboard is not None:
            places = where_kept(self._settings, self._options.record_alerts, demo=self._judge is not None)
            self._out.print(dashboard.last_alerts(places))
        self._out.print(summary(report, self._console.width))
        if self._judge is not None:
            result = self._judge.result()
            if result.episodes:
                self._out.print("", result_table(result))
            evidence = self._settings.evidence
            scratch = self._options.scratch
            kept = evidence.enabled and not (scratch and evidence.folder.is_relative_to(scratch))
            self._out.say(result_sentence(result), where_pictures_are(evidence.folder if kept else None))
        if dashboard is not None and unfinished:  # these log lines disappeared with the dashboard
            self._out.say("", *unfinished)
        if outcome.stopped and (nothing := outcome.nothing_came()):  # only a warning: the exit code is 0
            log.warning("%s", nothing)
        failures = outcome.problems(logged=dashboard is None)
        failures += self._out.problems()
        if failures:
            raise RunError("; ".join(failures))

    def _current(self) -> MonitorConfig:
        """The present settings of the run: a reload may have changed them."""
        return self._settings if self._reloader is None else self._reloader.settings

    def _growing_plan(self, monitor: CameraMonitor) -> GrowingPlan | None:
        """How the memory of a camera grows that this monitor judges from now on."""
        member = self.fleet.get(monitor.camera)
        return None if member is None else growing_plan(member.camera, monitor, self._current())

    def _adopt(self, name: str, model: Model, monitor: CameraMonitor) -> CameraMonitor | None:
        """A camera has learned: watch it with its model. Returns the monitor that judged it until now, or None."""
        member = self.fleet.get(name)
        if member is None:
            return None
        before = member.monitor
        self.fleet.replace(watching(member.camera, self._current(), model, monitor))
        log.info("%s: watched with the model that it has learned (%s)", name, model.id)
        self._retitle()
        return before

    def _retitle(self) -> None:
        """Models or budgets have changed: show the present ones."""
        if self._dashboard is not None:
            self._dashboard.retitle(self._title(self._dashboard.endpoint))

    def _publish_end(self, how: str) -> None:
        """Publish the last moments and the end at once: later work, such as completing clips, would seem an outage."""
        if self._moments is not None:
            self._moments.finish()
        if self._publishing is not None:
            self._publishing.end(safe(how))

    def _ranked(self, publisher: Publisher | None, clip: Clip | None, nearest: Nearest | None) -> MomentsSink:
        """The sink of the ranked day: its schedules are those of the last reload."""
        return moments_sink(self._settings, lambda name: self._current().schedule_of(name), publisher, clip, nearest)

    def _title(self, endpoint: str) -> RunTitle:
        models = [member.camera.model for member in self.fleet if member.monitor is not None]
        budgets = {self._current().of_camera(member.name).false_alarms_per_day for member in self.fleet}
        return RunTitle(
            node=self._settings.node,
            device=", ".join(sorted({d.device for m in models for d in m.detectors})) or "-",
            model=", ".join(sorted({m.id for m in models})) or "none yet",
            endpoint=endpoint,
            false_alarms_per_day=budgets.pop() if len(budgets) == 1 else None,
            page=self._page,
        )

    def _controls(self, publisher: Publisher) -> Controls:
        """How receivers ask for changes, and what holds now."""
        self._queue = ControlQueue(publisher.desk, Asker("mqtt"))
        return Controls(
            self._queue.ask, lambda name: self._current().budget_of(name), lambda name: self._current().is_armed(name)
        )

    def _sinks(self, stack: ExitStack) -> list[Sink]:
        """The sinks of the run, in the order publish, record, draw."""
        settings, options = self._settings, self._options
        check_journalled(settings)
        check_published(settings)
        sinks: list[Sink] = []
        endpoint = "off"
        earlier: Sequence[AlertMessage] = ()
        journal: Journal | None = None
        publisher: Publisher | None = None
        normal = normal_sink(settings, self._current)
        nearest = (lambda _: None) if normal is None else normal.nearest_to
        evidence = EvidenceSink(settings.evidence, stop=self.stop, kept_s=kept_for_moments(settings), nearest=nearest)
        with_dashboard = can_redraw(self._console) and not options.headless
        if not with_dashboard:
            logging.getLogger().setLevel(logging.DEBUG if options.verbose else logging.INFO)
        live = any(member.camera.source.live for member in self.fleet) or settings.playback.loop
        sort = not live and options.config is None
        recorder = stack.enter_context(Recorder(options.record_scores, options.record_alerts, sort=sort))
        if settings.publish.enabled:
            publishing = open_publishing(settings, stack, demo=self._judge is not None)
            publisher, earlier, journal = publishing.publisher, publishing.earlier, publishing.journal
            self._counted, self._control = publishing.counted, publisher.control
            endpoint = publisher.alerts_endpoint
            if settings.web.enabled:
                self._page = open_page(settings, publisher, stack, demo=self._judge is not None)
            names = evidence.names if settings.evidence.enabled else lambda _: ()
            self._teacher = open_teaching(settings, publishing, stack, self.fleet, self._memory)
            published = self._teacher.kept if self._teacher is not None else lambda *_: None
            normal_at = evidence.normal_at if settings.evidence.enabled else lambda _: None
            self._publishing = PublishSink(
                publisher, names, settings.publish.lost_after_s, published, normal_at=normal_at
            )
            sinks.append(self._publishing)
            if self._teacher is not None:
                sinks.append(self._teacher)
            if publisher.control is not None:
                sinks.append(previews := stack.enter_context(PreviewSink(publisher)))
                previews.leases.serve_at(publisher.desk)
            if settings.choices is not None:
                what_if = None if self._teacher is None else self._teacher.what_if
                self._chooser = Chooser(self.fleet, self._current, self._retitle)
                cameras = FleetCameras(self.fleet, self._current)
                run = ChangedRun(settings.choices, cameras, self._current, self._reloader)
                choosing = Choosing(run, what_if, self._chooser.chosen)
                choosing.serve_at(publisher.desk)
                self._memory.choices = choosing.forget
                sinks.append(control := CameraControl(run))
                control.serve_at(publisher.desk)
                CameraAdding(run).serve_at(publisher.desk)
                ModelControl(run).serve_at(publisher.desk)
            if publishing.journal is not None and self._judge is None:
                controls = self._controls(publisher)
                sinks += open_deliveries(
                    settings, publishing.journal, stack, stop=self.stop, controls=controls, memory=self._memory
                )
        sinks.append(recorder)
        sinks.append(stack.enter_context(CalibrationSink(calibration_store(settings))))
        if self._judge is None:
            sinks.append(stack.enter_context(GrowingSink(self._growing, self._growing_plan)))
        if settings.metrics.enabled:
            given = dict if self._teacher is None else self._teacher.given.copy
            sinks.append(serve_metrics(settings, stack, journal, losses(settings, evidence, sinks), given))
        if self._judge is not None:
            sinks.append(self._judge)
        if with_dashboard:
            title = self._title(endpoint)
            stack.enter_context(stderr_silenced())
            logging.getLogger().setLevel(logging.INFO)
            note = self._judge.note if self._judge else None
            dashboard = Dashboard(self._console, title, note, Keys(fd=0))
            dashboard.remember(earlier)
            self._dashboard = stack.enter_context(dashboard)
            sinks.append(dashboard)
        else:
            sinks.append(LogSink())
        if normal is not None:
            sinks.append(stack.enter_context(normal))
            self._memory.normal = normal.forget
        if settings.evidence.enabled:
            sinks.append(stack.enter_context(evidence))
        if settings.moments.enabled and self._judge is None:
            clip = evidence.clip_around if settings.evidence.enabled else None
            self._moments = stack.enter_context(
                self._ranked(publisher, clip, None if normal is None else normal.nearest)
            )
            self._memory.moments = self._moments.forget
            sinks.append(self._moments)
        sinks.append(stack.enter_context(ServiceManagerSink()))
        return sinks
