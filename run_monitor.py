#!/usr/bin/env python3
"""The command line of the monitor: arguments -> config -> wiring -> main loop -> exit code."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from monitor.camera_monitor import CameraMonitor, ModelScale
from monitor.capture import CaptureSettings
from monitor.config import JournalConfig, MonitorConfig, load_config
from monitor.dashboard import Dashboard, RunTitle, summary
from monitor.demo import MODEL_FOLDER, DemoJudge, result_sentence, result_table
from monitor.errors import ConfigError, ModelError, MonitorError, RunError, UsageError
from monitor.evidence.sink import EvidenceSink
from monitor.journal import Journal
from monitor.logs import log_to_stderr, redact_tracebacks
from monitor.messages import ModelRef
from monitor.model_store import Model, load_model
from monitor.pipeline import Camera, Pipeline
from monitor.publisher import Publisher
from monitor.recorder import Recorder
from monitor.redact import redact
from monitor.sink import RunReport, Sink
from monitor.sinks import LogSink, PublishSink
from monitor.sources import open_sources
from monitor.sources.base import Source
from monitor.sources.isolated import isolate
from monitor.sources.synthetic import SyntheticScene
from monitor.types import CameraState
from monitor.watch import Watch

log = logging.getLogger("monitor")

FIRST_STEPS = """\
[bold]True Sight[/] watches fixed cameras, learns what is normal, alerts on what is not.

 [bold]1.[/] See it work, without a camera:
      {python} run_monitor.py --demo

 [bold]2.[/] Learn what is normal from footage of your camera, then watch it:
      {python} -m training train --data normal.mp4 --out models/door
      {python} run_monitor.py rtsp://user:password@192.168.1.20/stream --model models/door

 [bold]3.[/] Receive the alerts, in a second terminal or another program:
      {python} -m monitor.client

Something amiss? {python} run_monitor.py doctor rtsp://...
All options: {python} run_monitor.py --help
"""

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


def this_python() -> str:
    """How the user started Python, so that what is shown can be pasted."""
    executable = Path(sys.executable)
    if executable.is_relative_to(Path.cwd()):
        return str(executable.relative_to(Path.cwd()))
    return "python" if shutil.which("python") == str(executable) else str(executable)


def parse_speed(text: str) -> str | float:
    """``max`` or a factor above 0."""
    if text == "max":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a number nor 'max'") from None


@app.command(epilog="`run_monitor.py doctor --help`: check cameras, models, ports and disk first, and what to mend.")
def main(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="RTSP or HTTP URL, video file, USB camera index, folder of frames, or tree of folders or videos.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with cameras and settings; flags win over it.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder for all cameras that name none.")] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Watch a synthetic street with the model that ships along.")
    ] = False,
    speed: Annotated[
        str | None,
        typer.Option(metavar="FACTOR|max", help="Replay files this many times as fast. Default 1, real time."),
    ] = None,
    loop: Annotated[bool | None, typer.Option("--loop", help="Replay files again and again.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of folders of images. Default 25.")] = None,
    analysis_fps: Annotated[
        float | None, typer.Option(help="Frames analysed a second and camera; 0 = every frame. Default 10.")
    ] = None,
    false_alarms_per_day: Annotated[
        float | None, typer.Option(help="Budget a camera that sets the threshold. Default 1.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default auto.")] = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="End each source after so many analysed frames.")
    ] = None,
    duration: Annotated[float | None, typer.Option(min=0.1, help="End the run after so many seconds.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Log lines in place of the dashboard.")] = False,
    alerts: Annotated[
        str | None, typer.Option(help="Address to publish alerts on. Default tcp://127.0.0.1:5560.")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(help="Address to publish scores on. Default tcp://127.0.0.1:5561.")
    ] = None,
    history: Annotated[
        str | None, typer.Option(help="Address where clients ask for what they missed. Default tcp://127.0.0.1:5562.")
    ] = None,
    journal: Annotated[
        bool | None, typer.Option("--journal/--no-journal", help="Keep alerts in a file before sending. Default on.")
    ] = None,
    publish: Annotated[
        bool | None, typer.Option("--publish/--no-publish", help="Publish over ZeroMQ. Default on.")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="Keep pictures and a clip of every event in this folder. Default off.")
    ] = None,
    record_scores: Annotated[Path | None, typer.Option(help="Write every score to this file as JSON lines.")] = None,
    record_alerts: Annotated[Path | None, typer.Option(help="Write every alert to this file as JSON lines.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="More log lines.")] = False,
) -> None:
    """Watch cameras and files; show scores; publish alerts. Exit codes: 0 done, 1 the run failed, 2 wrong usage."""
    console = Console()
    if not (sources or config or demo):
        console.print(FIRST_STEPS.format(python=this_python()), highlight=False, soft_wrap=True)
        return
    redact_tracebacks()
    overrides: dict[str, Any] = {
        "model": model,
        "playback.speed": None if speed is None else parse_speed(speed),
        "playback.loop": loop,
        "playback.fps": fps,
        "analysis_fps": analysis_fps,
        "false_alarms_per_day": false_alarms_per_day,
        "device": device,
        "publish.alerts": alerts,
        "publish.scores": scores,
        "publish.history": history,
        "publish.enabled": publish,
        "evidence.folder": evidence,
        "evidence.enabled": None if evidence is None else True,
        "journal.enabled": journal,
    }
    try:
        settings = load_config(config, {key: value for key, value in overrides.items() if value is not None})
        if demo and (sources or settings.cameras):
            raise UsageError("--demo brings its own scene: leave out the sources and cameras")
        scene = SyntheticScene() if demo else None
        if scene is not None and settings.model is None:
            settings = settings.model_copy(update={"model": MODEL_FOLDER})
        found: list[Source] = [scene] if scene is not None else find_sources(sources or [], settings)
        cameras = attach_models(found, settings, max_frames)
        run(cameras, settings, console, headless=headless, verbose=verbose, duration_s=duration, scene=scene,
            record_scores=record_scores, record_alerts=record_alerts)  # fmt: skip
    except MonitorError as error:
        sys.stderr.write(f"error: {redact(str(error))}\n")
        leave(error.exit_code)
    leave(0)


def leave(code: int) -> NoReturn:
    """End with an exit code, at once if a thread still hangs in a camera's read that nothing can interrupt."""
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        # Letting the interpreter end under a thread that is inside FFmpeg can abort the process.
        os._exit(code)
    raise typer.Exit(code)


def find_sources(specs: Sequence[str], settings: MonitorConfig) -> list[Source]:
    """The sources named on the command line, or else the config's cameras; each has been checked.

    Raises SourceError for a source that can never give a frame, ConfigError when there is none.
    """
    named = list(specs) or [f"{name}={camera.source}" for name, camera in settings.cameras.items()]
    if not named:
        raise ConfigError("the config file names no camera: add [cameras.NAME] with a source, or give a SOURCE")
    capture = settings.capture
    found = open_sources(
        named,
        fps=settings.playback.fps,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
    )
    found = [isolate(source, capture.isolation) for source in found]
    for source in found:
        source.check()
    return found


def attach_models(sources: Sequence[Source], settings: MonitorConfig, max_frames: int | None) -> list[Camera]:
    """Load every model once and give each source its own. Raises ModelError, naming the camera without one."""
    capture = CaptureSettings(
        speed=settings.playback.speed,
        loop=settings.playback.loop,
        analysis_fps=settings.analysis_fps,
        max_frames=max_frames,
        gap_s=settings.capture.gap_s,
        stall_after_s=settings.capture.read_timeout_s,
        backoff_min_s=settings.capture.backoff_min_s,
        backoff_max_s=settings.capture.backoff_max_s,
        health=settings.health,
    )
    loaded: dict[Path, Model] = {}
    cameras = []
    for source in sources:
        own = settings.cameras.get(source.name)
        folder = (own.model if own else None) or settings.model
        if folder is None:
            raise ModelError(
                f"no model for '{source.name}': train one on normal footage of this camera with "
                "`python -m training train --data FOOTAGE --out models/NAME`, then add --model models/NAME"
            )
        if folder not in loaded:
            loaded[folder] = load_model(folder, settings.device)
        cameras.append(Camera(source, loaded[folder], capture))
    return cameras


def run(
    cameras: Sequence[Camera],
    settings: MonitorConfig,
    console: Console,
    *,
    headless: bool,
    verbose: bool,
    duration_s: float | None,
    scene: SyntheticScene | None,
    record_scores: Path | None,
    record_alerts: Path | None,
) -> None:
    """Wire sinks and pipeline together, watch until the end, print the summary."""
    live_view = console.is_terminal and not headless
    models = {camera.name: camera.model for camera in cameras}
    scales = {id(m): ModelScale(m, settings.false_alarms_per_day, settings.smoothing) for m in models.values()}
    monitors = {
        name: CameraMonitor(name, scales[id(model)], settings.smoothing, settings.alert)
        for name, model in models.items()
    }
    judge = DemoJudge(scene) if scene is not None else None
    stop = stop_on_signals()
    with ExitStack() as stack:
        sinks: list[Sink] = []
        endpoint = "off"
        evidence = EvidenceSink(
            settings.evidence,
            models={name: ModelRef(id=model.name, hash=model.hash) for name, model in models.items()},
            false_alarms_per_day=settings.false_alarms_per_day,
            rise_s=settings.alert.min_duration_s,
            stop=stop,
        )
        names = evidence.names if settings.evidence.enabled else lambda _: ()
        if settings.publish.enabled:
            publisher = stack.enter_context(
                Publisher(
                    settings.publish.alerts,
                    settings.publish.scores,
                    settings.publish.history,
                    node=settings.node,
                    insecure=settings.publish.insecure,
                    keys=settings.publish.keys,
                    journal=open_journal(settings.journal, stack, demo=scene is not None),
                )
            )
            endpoint = publisher.alerts_endpoint
            sinks.append(PublishSink(publisher, models, settings.false_alarms_per_day, names))
        lasting = any(camera.source.live for camera in cameras) or settings.playback.loop
        sinks.append(stack.enter_context(Recorder(record_scores, record_alerts, monitors, sort=not lasting)))
        if judge is not None:
            sinks.append(judge)
        if live_view:
            title = RunTitle(
                node=settings.node,
                device=", ".join(sorted({d.device for m in models.values() for d in m.detectors})),
                model=", ".join(sorted({m.id for m in models.values()})),
                endpoint=endpoint,
                false_alarms_per_day=settings.false_alarms_per_day,
            )
            sinks.append(stack.enter_context(Dashboard(console, title, judge.note if judge else None)))
            logging.getLogger().setLevel(logging.INFO)
        else:
            handler = log_to_stderr(verbose=verbose)
            stack.callback(logging.getLogger().removeHandler, handler)
            sinks.append(LogSink())
        if settings.evidence.enabled:
            sinks.append(stack.enter_context(evidence))
        warn_of_short_footage(scales.values(), settings)
        pipeline = Pipeline(cameras, settings.queue)
        watch = Watch(pipeline, monitors, {camera.name: camera.source for camera in cameras}, sinks)
        report = watch.run(stop, duration_s)
    console.print(summary(report))
    raise_for_failed(report)
    if judge is not None:
        result = judge.result()
        console.print()
        console.print(result_table(result))
        console.print(result_sentence(result), highlight=False)
        console.print(
            f"\nNext: {this_python()} run_monitor.py, without arguments, shows how to watch a camera of your own.",
            highlight=False,
            soft_wrap=True,
        )


def raise_for_failed(report: RunReport) -> None:
    """Raise RunError if a source could not be read to its end."""
    failed = [f"{camera.name}: {camera.detail}" for camera in report.cameras if camera.state is CameraState.FAILED]
    if failed:
        raise RunError(f"{len(failed)} of {len(report.cameras)} sources could not be read on: {'; '.join(failed)}")


def open_journal(settings: JournalConfig, stack: ExitStack, *, demo: bool) -> Journal | None:
    """The journal, open until ``stack`` is left; the demo's is a temporary one. None where none is wanted."""
    if not settings.enabled:
        return None
    path = settings.path
    if demo:
        path = Path(stack.enter_context(TemporaryDirectory())) / path.name
    journal = Journal(path, days=settings.days, max_mb=settings.max_mb, fsync=settings.fsync)
    return stack.enter_context(journal)


def warn_of_short_footage(scales: Any, settings: MonitorConfig) -> None:
    """Say so when a threshold for the budget had to be extrapolated from too little held-out footage."""
    for scale in scales:
        if scale.supported_per_day > settings.false_alarms_per_day:
            log.warning(
                "the model's held-out footage shows rates down to %.0f false alarms a day; the threshold for %g is "
                "extrapolated: train it on longer footage",
                scale.supported_per_day,
                settings.false_alarms_per_day,
            )


def stop_on_signals() -> threading.Event:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second kills the process at once."""
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            if sys.stdout.isatty():
                os.write(1, b"\x1b[?1049l\x1b[?25h")  # leave the alternate screen, show the cursor
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return stop


if __name__ == "__main__":
    if sys.argv[1:2] == ["doctor"]:  # a source of that name is given as ./doctor
        from monitor.doctor.command import app as doctor

        doctor(sys.argv[2:], prog_name="run_monitor.py doctor")
    app()
