"""One run of the monitor, from the first frame to the summary: it connects sinks, pipeline and main loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console

from monitor.alerts.earlier_budgets import Counted
from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage
from monitor.app.config import MonitorConfig
from monitor.app.deliveries import check_journalled, open_deliveries
from monitor.app.demo import DemoJudge, result_sentence, result_table, where_pictures_are
from monitor.app.metrics_serving import serve_metrics
from monitor.app.outcome import Outcome
from monitor.app.planning import calibration_store, learned, warn_of_short_footage, watching
from monitor.app.publishing import open_publishing
from monitor.app.reload import Prepare, Reloader
from monitor.app.state_place import where_state_is
from monitor.errors import MonitorError, RunError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
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
from monitor.sinks.log_sink import LogSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sinks.score_record import Recorder
from monitor.sinks.service_manager import ServiceManagerSink
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.text.logs import stderr_silenced
from monitor.text.outside import safe
from monitor.text.streams import write_patiently
from monitor.text.terminals import can_redraw, output_may_fail
from monitor.text.wording import joined
from monitor.text.wrapping import wrapped

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
    follow_config  True: read the config file again whenever it has changed
    """

    headless: bool = False
    verbose: bool = False
    duration_s: float | None = None
    scene: SyntheticScene | None = None
    record_scores: Path | None = None
    record_alerts: Path | None = None
    config: Path | None = None
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
        self._counted: Mapping[str, Sequence[Counted]] = {}
        self._dashboard: Dashboard | None = None
        self._lost: OSError | None = None  # why a part of the output is lost
        self._reloader: Reloader | None = None
        if options.scene is None:
            self._reloader = Reloader(options.config, prepare, settings, self.fleet, follow=options.follow_config)
        self._learning = Learning((), lambda plan: learned(plan, self._current()), current=self._current)
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
            self._say(where_state_is(self._settings))  # the dashboard hides log lines
        with ExitStack() as stack:
            sinks = self._sinks(stack)
            dashboard = self._dashboard
            if self._judge is None:
                log.info("%s", where_state_is(self._settings))
                warn_of_short_footage(member.camera for member in self.fleet)
            stack.callback(lambda: unfinished.extend(learning.close()))
            watch = Watch(self.fleet, sinks, learning=learning, counted=self._counted)

            def on_tick() -> None:
                if self._reloader is not None:
                    self._reloader.tick()
                learning.tick(watch.state_of, self._adopt)

            try:
                report = watch.run(self.stop, self._options.duration_s, on_tick)
            except MonitorError as error:
                self._publish_end(f"failed: {error}")
                raise
            outcome = Outcome(report, self.stop.is_set(), self._options.config, self._settings.cameras)
            self._publish_end(outcome.how_it_ended())
        if dashboard is not None:
            self._print(dashboard.last_alerts(self._kept()))
        self._print(summary(report, self._console.width))
        if self._judge is not None:
            result = self._judge.result()
            if result.episodes:
                self._print("", result_table(result))
            evidence = self._settings.evidence
            self._say(result_sentence(result), where_pictures_are(evidence.folder if evidence.enabled else None))
        if dashboard is not None and unfinished:  # these log lines disappeared with the dashboard
            self._say("", *unfinished)
        if outcome.stopped and (nothing := outcome.nothing_came()):  # only a warning: the exit code is 0
            log.warning("%s", nothing)
        failures = outcome.problems(logged=dashboard is None)
        if self._lost is not None:
            failures.append(f"the summary could not be written ({self._lost.strerror or self._lost})")
        if failures:
            raise RunError("; ".join(failures))

    def _current(self) -> MonitorConfig:
        """The present settings of the run: a reload may have changed them."""
        return self._settings if self._reloader is None else self._reloader.settings

    def _adopt(self, name: str, model: Model, monitor: CameraMonitor) -> CameraMonitor | None:
        """A camera has learned: watch it with its model. Returns the monitor that judged it until now, or None."""
        member = self.fleet.get(name)
        if member is None:
            return None
        before = member.monitor
        self.fleet.replace(watching(member.camera, self._current(), model, monitor))
        log.info("%s: watched with the model that it has learned (%s)", name, model.id)
        if self._dashboard is not None:
            self._dashboard.retitle(self._title(self._dashboard.endpoint))
        return before

    def _publish_end(self, how: str) -> None:
        """Publish the end at once, because later work, such as completing clips, would look like an outage."""
        if self._publishing is not None:
            self._publishing.end(safe(how))

    def _kept(self) -> str:
        """Where the user finds all alerts after the run, in words; empty if they are not kept."""
        settings, record = self._settings, self._options.record_alerts
        journal = settings.publish.enabled and settings.journal.enabled and self._judge is None  # the demo's is deleted
        places = {
            f"the journal {settings.journal.path}": journal,
            f"the evidence folder {settings.evidence.folder}": settings.evidence.enabled,
            f"the record {record}": record is not None,
        }
        return joined([place for place, used in places.items() if used])

    def _title(self, endpoint: str) -> RunTitle:
        models = [member.camera.model for member in self.fleet if member.monitor is not None]
        budgets = {self._current().of_camera(member.name).false_alarms_per_day for member in self.fleet}
        return RunTitle(
            node=self._settings.node,
            device=", ".join(sorted({d.device for m in models for d in m.detectors})) or "-",
            model=", ".join(sorted({m.id for m in models})) or "none yet",
            endpoint=endpoint,
            false_alarms_per_day=budgets.pop() if len(budgets) == 1 else None,
        )

    def _print(self, *parts: object) -> None:
        """Print without the spaces at the ends of a table's lines, because the output may go to a file."""
        with output_may_fail(self._lose):
            with self._console.capture() as captured:
                self._console.print(*parts, sep="\n", highlight=False)
            text = "".join(line.rstrip() + "\n" for line in captured.get().splitlines())
            write_patiently(cast(TextIO, self._console.file), text)

    def _lose(self, error: OSError) -> None:
        self._lost = error

    def _say(self, *sentences: str) -> None:
        """Print sentences. A terminal's lines break between words, never within a command."""
        with output_may_fail(self._lose):
            for sentence in sentences:
                lines = wrapped(safe(sentence), self._console.width) if can_redraw(self._console) else [safe(sentence)]
                write_patiently(cast(TextIO, self._console.file), "".join(f"{line}\n" for line in lines))

    def _sinks(self, stack: ExitStack) -> list[Sink]:
        """The sinks of the run, in the order publish, record, draw."""
        settings, options = self._settings, self._options
        check_journalled(settings)
        sinks: list[Sink] = []
        endpoint = "off"
        earlier: Sequence[AlertMessage] = ()
        journal: Journal | None = None
        evidence = EvidenceSink(settings.evidence, stop=self.stop)
        with_dashboard = can_redraw(self._console) and not options.headless
        if not with_dashboard:
            logging.getLogger().setLevel(logging.DEBUG if options.verbose else logging.INFO)
        live = any(member.camera.source.live for member in self.fleet) or settings.playback.loop
        sort = not live and options.config is None
        recorder = stack.enter_context(Recorder(options.record_scores, options.record_alerts, sort=sort))
        if settings.publish.enabled:
            publishing = open_publishing(settings, stack, demo=self._judge is not None)
            publisher, earlier, journal = publishing.publisher, publishing.earlier, publishing.journal
            self._counted = publishing.counted
            endpoint = publisher.alerts_endpoint
            names = evidence.names if settings.evidence.enabled else lambda _: ()
            self._publishing = PublishSink(publisher, names, settings.publish.lost_after_s)
            sinks.append(self._publishing)
            if publishing.journal is not None and self._judge is None:
                sinks += open_deliveries(settings, publishing.journal, stack, stop=self.stop)
        sinks.append(recorder)
        sinks.append(stack.enter_context(CalibrationSink(calibration_store(settings))))
        if settings.metrics.enabled:
            lost = (lambda: evidence.disk.lost) if settings.evidence.enabled else None
            sinks.append(serve_metrics(settings, stack, journal, lost))
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
        if settings.evidence.enabled:
            sinks.append(stack.enter_context(evidence))
        sinks.append(stack.enter_context(ServiceManagerSink()))
        return sinks
