"""One run of the monitor: sinks, pipeline and main loop wired together, from the first frame to the summary."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.config import JournalConfig, MonitorConfig
from monitor.app.demo import DemoJudge, result_sentence, result_table
from monitor.app.outcome import Outcome
from monitor.app.planning import PlannedCamera, learned, warn_of_short_footage, watching
from monitor.app.reload import Reloader
from monitor.errors import MonitorError, RunError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.sinks.dashboard.screen import Dashboard, RunTitle
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.sinks.log_sink import LogSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sinks.score_recorder import Recorder
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.text.logs import stderr_silenced
from monitor.text.redaction import redact
from monitor.text.wording import joined

log = logging.getLogger("monitor")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What concerns one run only and stands in no config file.

    duration_s     the run ends after so many seconds; None without limit
    scene          the demo's scene, or None
    record_scores, record_alerts  files of JSON lines, or None
    config         the config file, read again when asked; None without one
    follow_config  read it again whenever it has changed
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
    """Wires everything for ``run``. ``stop`` ends it; ``reload`` has the config read again, and may be None.

    prepare  reads the config anew and plans its cameras, for a reload
    """

    def __init__(
        self,
        planned: Sequence[PlannedCamera],
        settings: MonitorConfig,
        options: RunOptions,
        console: Console,
        prepare: Callable[[], tuple[MonitorConfig, Sequence[PlannedCamera]]],
    ) -> None:
        self._planned = planned
        self._settings = settings
        self._options = options
        self._console = console
        self._models: dict[str, Model] = {c.name: c.camera.model for c in planned if c.monitor is not None}
        self._learning = Learning((), lambda plan: learned(plan, settings))
        self._judge = DemoJudge(options.scene) if options.scene is not None else None
        self._publisher: Publisher | None = None
        self._reloader: Reloader | None = None
        if options.config is not None:
            self._reloader = Reloader(
                options.config,
                prepare,
                settings,
                planned,
                self._models,
                follow=options.follow_config,
                learning=self._learning,
            )
        self.stop = threading.Event()

    @property
    def reload(self) -> threading.Event | None:
        """Set to have the config file read again; None without a config file."""
        return None if self._reloader is None else self._reloader.requested

    def run(self) -> None:
        """Watch until the end, then print the summary.

        Raises what a pipeline thread raised, and RunError when a source could not be read on or never gave a frame.
        """
        planned, reloader, learning = self._planned, self._reloader, self._learning
        unfinished: list[str] = []
        with ExitStack() as stack:
            sinks, dashboard = self._sinks(stack)
            warn_of_short_footage(planned if self._judge is None else ())
            pipeline = Pipeline(
                [camera.camera for camera in planned],
                self._settings.queue,
                cpu_fallback=self._settings.cpu_fallback,
            )
            watch = Watch(
                pipeline,
                {camera.name: camera.monitor for camera in planned if camera.monitor is not None},
                {camera.name: camera.camera.source for camera in planned},
                sinks,
                learning=learning,
            )
            stack.callback(lambda: unfinished.extend(learning.close()))
            for camera in planned:
                if camera.learning is not None:
                    learning.begin(camera.learning)

            def adopt(name: str, model: Model, monitor: CameraMonitor) -> None:
                self._models[name] = model
                watch.judge(monitor)
                pipeline.set_model(name, model)
                self._learned(name, model, monitor)
                if dashboard is not None:
                    dashboard.retitle(self._title(dashboard.endpoint))

            def on_tick() -> None:
                if reloader is not None:
                    reloader.tick(pipeline, watch)
                learning.tick(lambda name: pipeline.status(name).state, adopt)

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
            self._print(result_sentence(result))
        if dashboard is not None and unfinished:  # its log lines are gone with it
            self._print("", *(Text(line) for line in unfinished))
        if outcome.stopped and (nothing := outcome.nothing_came()):  # exit code 0 all the same
            log.warning("%s", nothing)
        if failures := outcome.problems(logged=dashboard is None):
            raise RunError("; ".join(failures))

    def _publish_end(self, how: str) -> None:
        """At once: subscribers are not to take what is done still, such as completing clips, for a silence."""
        if self._publisher is not None:
            self._publisher.end(redact(how))

    def _kept(self) -> str:
        """Where all alerts of the run are to be found when it is over, in words; empty where nowhere."""
        settings, record = self._settings, self._options.record_alerts
        journal = settings.publish.enabled and settings.journal.enabled and self._judge is None  # the demo's is gone
        places = {
            f"the journal {settings.journal.path}": journal,
            f"the evidence folder {settings.evidence.folder}": settings.evidence.enabled,
            f"the record {record}": record is not None,
        }
        return joined([place for place, used in places.items() if used])

    def _learned(self, name: str, model: Model, monitor: CameraMonitor) -> None:
        """Say so; the next config that is read finds the new model in force."""
        planned = next((camera for camera in self._planned if camera.name == name), None)
        if planned is None:
            return
        planned = watching(planned, self._settings, model, monitor)
        log.info("%s: watched with what it has learned (%s)", name, model.id)
        if self._reloader is not None:
            self._reloader.learned(planned)

    def _title(self, endpoint: str) -> RunTitle:
        models = self._models.values()
        return RunTitle(
            node=self._settings.node,
            device=", ".join(sorted({d.device for m in models for d in m.detectors})) or "-",
            model=", ".join(sorted({m.id for m in models})) or "none yet",
            endpoint=endpoint,
            false_alarms_per_day=self._settings.false_alarms_per_day,
        )

    def _print(self, *parts: object) -> None:
        """Print without the blanks that fill a table's lines: the output may go to a file."""
        with self._console.capture() as captured:
            self._console.print(*parts, sep="\n", highlight=False)
        self._console.file.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))

    def _sinks(self, stack: ExitStack) -> tuple[list[Sink], Dashboard | None]:
        """In the order publish, record, draw."""
        settings, options, models = self._settings, self._options, self._models
        sinks: list[Sink] = []
        endpoint = "off"
        evidence = EvidenceSink(
            settings.evidence,
            models=models,
            false_alarms_per_day=settings.false_alarms_per_day,
            rise_s=settings.alert.min_duration_s,
            stop=self.stop,
        )
        with_dashboard = self._console.is_terminal and not options.headless
        if not with_dashboard:
            logging.getLogger().setLevel(logging.DEBUG if options.verbose else logging.INFO)
        live = any(camera.camera.source.live for camera in self._planned) or settings.playback.loop
        monitors = {camera.name: camera.monitor for camera in self._planned if camera.monitor is not None}
        recorder = Recorder(
            options.record_scores, options.record_alerts, monitors, sort=not live and options.config is None
        )
        stack.enter_context(recorder)
        if settings.publish.enabled:
            publisher = stack.enter_context(
                Publisher(
                    settings.publish.alerts,
                    settings.publish.scores,
                    settings.publish.history,
                    node=settings.node,
                    insecure=settings.publish.insecure,
                    keys=settings.publish.keys,
                    journal=_open_journal(settings.journal, stack, demo=self._judge is not None),
                )
            )
            self._publisher, endpoint = publisher, publisher.alerts_endpoint
            names = evidence.names if settings.evidence.enabled else lambda _: ()
            sinks.append(PublishSink(publisher, models, settings.false_alarms_per_day, names))
        sinks.append(recorder)
        if self._judge is not None:
            sinks.append(self._judge)
        dashboard = None
        if with_dashboard:
            title = self._title(endpoint)
            stack.enter_context(stderr_silenced())
            logging.getLogger().setLevel(logging.INFO)
            dashboard = Dashboard(self._console, title, self._judge.note if self._judge else None)
            sinks.append(stack.enter_context(dashboard))
        else:
            sinks.append(LogSink())
        if settings.evidence.enabled:
            sinks.append(stack.enter_context(evidence))
        return sinks, dashboard


def _open_journal(settings: JournalConfig, stack: ExitStack, *, demo: bool) -> Journal | None:
    """The journal, open until ``stack`` is left; the demo's is a temporary one. None where none is wanted."""
    if not settings.enabled:
        return None
    path = settings.path
    if demo:
        path = Path(stack.enter_context(TemporaryDirectory())) / path.name
    journal = Journal(path, days=settings.days, max_mb=settings.max_mb, fsync=settings.fsync)
    return stack.enter_context(journal)
