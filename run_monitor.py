#!/usr/bin/env python3
"""The monitor's command line: arguments -> config -> setup -> main loop -> exit code."""

from __future__ import annotations

import signal

# During the imports there is nothing to shut down yet, so Ctrl-C ends the process at once.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# ruff: noqa: E402 - see above
from monitor.text.streams import flush_streams, prepare_streams, write_patiently

# Before anything is opened: see there.
prepare_streams()

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from monitor import __version__
from monitor.app import flags
from monitor.app.carried_choices import open_choices
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.demo import DEMO_DETECTORS, DEMO_FALSE_ALARMS_PER_DAY, LEARNED_S, DemoStreet, with_page, without_traces
from monitor.app.engines.front_session import EnginesSession, engines_of
from monitor.app.models_in_use import ModelsInUse
from monitor.app.own_model import Relearning
from monitor.app.planning import find_sources, plan_cameras
from monitor.app.session import RunOptions, Session
from monitor.app.signal_handling import note_hang_ups, obey_signals
from monitor.errors import ConfigError, MonitorError, UsageError
from monitor.live.fleet import Camera
from monitor.reading import is_same_file
from monitor.sources.source import Source
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.sources.unreadable import UnreadableSource
from monitor.state_folder import CHOICES
from monitor.text.command_line import run_app, say_error
from monitor.text.commands import client_command, monitor_command, training_command
from monitor.text.durations import parse_duration
from monitor.text.logs import log_to_stderr
from monitor.text.terminals import can_redraw, output_may_fail
from monitor.text.wrapping import complain, for_stream

FIRST_STEPS = """\
[bold]True Sight[/] watches fixed cameras, learns what is normal, and alerts on anything else.

 [bold]1.[/] Try it without a camera:
      {monitor} --demo

 [bold]2.[/] Watch your camera: it learns for ten minutes what is normal, then it watches:
      {monitor} door=rtsp://user:password@192.168.1.20/stream

    Or learn from footage that you have first, then run the same command:
      {learn}

 [bold]3.[/] Receive the alerts, in a second terminal or another program:
      {client}

Which cameras are there? {monitor} discover
Something wrong? {monitor} doctor rtsp://...
All options: {monitor} --help
"""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


def parse_speed(text: str) -> str | float:
    """``max`` or a factor above 0."""
    if text == "max":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a number nor 'max'", param_hint="--speed") from None


def parse_engines(text: str | None) -> int | str | None:
    """``auto`` or a number from 1; None if the flag is not given."""
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a number nor 'auto'", param_hint="--engines") from None


def parse_time(text: str | None, flag: str) -> float | None:
    """Convert a duration to seconds; None if the flag is not given."""
    try:
        return None if text is None else parse_duration(text)
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None


@app.command(
    epilog=f"`{Path(sys.argv[0]).name} doctor --help`: check cameras, models, ports and disk; says what to fix. "
    f"`{Path(sys.argv[0]).name} discover --help`: find cameras in this network. "
    f"`{Path(sys.argv[0]).name} fleet --help`: several machines as one monitor."
)
def main(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="RTSP or HTTP URL (a stream, single pictures or a recording), video file, USB camera index or device, "
            "folder of frames, or tree of folders or videos.",
            show_default=False,
        ),
    ] = None,
    config: flags.Config = None,
    watch_config: Annotated[
        bool, typer.Option("--watch-config", help="Reload the config file whenever it changes.")
    ] = False,
    model: flags.Model = None,
    learn: flags.Learn = None,
    relearn: flags.Relearn = False,
    state: flags.State = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Learn one minute of a synthetic street, then watch it.")
    ] = False,
    speed: Annotated[
        str | None,
        typer.Option(metavar="X|max", help="Speed of files: 4 = four times as fast. Default 1, real time."),
    ] = None,
    loop: Annotated[bool | None, typer.Option("--loop", help="Replay files again and again.")] = None,
    fps: flags.Fps = None,
    analysis_fps: flags.AnalysisFps = None,
    false_alarms_per_day: flags.FalseAlarmsPerDay = None,
    device: flags.Device = None,
    engines: flags.Engines = None,
    max_frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="End each source after this many analysed frames.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="End the run after this time: 90, 90s, 10m, 2h. Default: never.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Print log lines instead of the dashboard.")] = False,
    alerts: flags.Alerts = None,
    scores: flags.Scores = None,
    history: flags.History = None,
    control: flags.Control = None,
    journal: flags.Journal = None,
    publish: flags.Publish = None,
    evidence: flags.Evidence = None,
    metrics: flags.Metrics = None,
    web: flags.Web = None,
    web_listen: flags.WebListen = None,
    record_scores: flags.RecordScores = None,
    record_alerts: flags.RecordAlerts = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print more log lines.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Watch cameras and files; show scores; publish alerts. Exit codes: 0 done, 1 the run failed, 2 wrong usage."""
    note_hang_ups()
    console = Console()
    if version:
        console.print(f"True Sight {__version__}", highlight=False)
        return
    if not (sources or config or demo):
        learn_from = training_command("learn normal.mp4 --name door")
        commands = {"monitor": monitor_command(), "learn": learn_from, "client": client_command()}
        steps = FIRST_STEPS.format(**{name: escape(command) for name, command in commands.items()})
        console.print(Text.from_markup(steps), highlight=False, soft_wrap=True)
        return
    log_to_stderr(verbose=verbose)
    duration_s = parse_time(duration, "--duration")
    given = flags.given_flags(
        model=model,
        state=state,
        learn_s=parse_time(learn, "--learn"),
        speed=None if speed is None else parse_speed(speed),
        loop=loop,
        fps=fps,
        analysis_fps=analysis_fps,
        false_alarms_per_day=false_alarms_per_day,
        device=device,
        engines=parse_engines(engines),
        alerts=alerts,
        scores=scores,
        history=history,
        control=control,
        publish=publish,
        journal=journal,
        evidence=evidence,
        metrics=metrics,
        web=web,
        web_listen=web_listen,
    )
    scene = SyntheticScene() if demo else None
    scratch = (
        TemporaryDirectory(prefix="true-sight-demo-") if demo else None
    )  # for the demo's model; deleted at the end

    relearning = Relearning(asked=relearn, duration=learn is not None)
    may_fail: set[str] | None = None  # at the start, any source; a reload must not lose one that is watched

    choices: ChoiceStore | None = None
    in_use = ModelsInUse()

    def find() -> tuple[MonitorConfig, Sequence[Source]]:
        nonlocal may_fail, choices
        settings = load_config(config, given)
        if scene is not None and (sources or settings.cameras):
            raise UsageError("--demo has its own scene: remove the sources and the cameras")
        if scratch is not None and settings.model is None:
            how = settings.learning.model_copy(update={} if learn else {"duration_s": LEARNED_S})
            usual_budget = config is None and false_alarms_per_day is None
            budget = DEMO_FALSE_ALARMS_PER_DAY if usual_budget else settings.false_alarms_per_day
            settings = settings.model_copy(
                update={
                    "false_alarms_per_day": budget,
                    "models_folder": Path(scratch.name),
                    "learning": how,
                    "detectors": settings.detectors or DEMO_DETECTORS,
                }
            )
        if scratch is not None and (settings.web.enabled or (web is None and not headless)):
            settings = with_page(settings, Path(scratch.name))
        if settings.device.startswith("cuda"):
            check_device(settings.device)
        if scene is None:
            choices = choices or open_choices(settings.journal.path.parent)
            choices.arrive()
            settings = settings.with_choices(choices)
            found = find_sources(sources or [], settings, may_fail)
            may_fail = {source.name for source in found if isinstance(source, UnreadableSource)}
            in_use.take(found, settings)
        else:
            assert scratch is not None
            place = Path(scratch.name)
            settings = without_traces(settings.with_choices(ChoiceStore(place / CHOICES)), place)
            found = [scene if settings.model is not None else DemoStreet(scene, settings.learning.duration_s)]
        return settings, found

    def prepare() -> tuple[MonitorConfig, list[Camera]]:
        settings, found = find()
        return settings, plan_cameras(found, settings, max_frames, relearning)

    try:
        refuse_record_over_source(sources or [], record_scores, record_alerts)
        settings, found = find()
        options = RunOptions(
            headless=headless,
            verbose=verbose,
            duration_s=duration_s,
            scene=scene,
            record_scores=record_scores,
            record_alerts=record_alerts,
            config=config,
            scratch=None if scratch is None else Path(scratch.name),
            follow_config=watch_config,
        )
        # Without a terminal there is no width limit, so a wide console avoids cut lines.
        screen = console if can_redraw(console) else Console(width=200)
        number = 1 if demo else engines_of(settings, found)
        session: Session | EnginesSession
        if number > 1:
            session = EnginesSession(
                found, settings, options, screen, find, engines=number, max_frames=max_frames, relearning=relearning
            )
        else:
            planned = plan_cameras(found, settings, max_frames, relearning)
            session = Session(planned, settings, options, screen, prepare)
        obey_signals(session.stop, session.reload)
        session.run()
    except MonitorError as error:
        if scratch is not None:
            scratch.cleanup()
        say_error(error)
        leave(error.exit_code)
    finally:
        in_use.close()
    if scratch is not None:
        scratch.cleanup()
        with output_may_fail():
            next_step = f"Next: `{monitor_command()}` without arguments shows how to watch your own camera."
            write_patiently(sys.stdout, for_stream(f"\n{next_step}\n", sys.stdout))
    leave(0)


def refuse_record_over_source(sources: Sequence[str], *records: Path | None) -> None:
    """Raise ConfigError if a record file would overwrite a source."""
    for record in records:
        for source in sources:
            path = Path(source.partition("=")[2] or source)
            if record is not None and is_same_file(record, path):
                raise ConfigError(f"{record} is one of the sources: choose another file for the record")


def check_device(name: str) -> None:
    """Raise UsageError if a CUDA device does not exist, even if the model does not need it."""
    from monitor.detector.device import find_device

    find_device(name)


def leave(code: int) -> NoReturn:
    """Exit with a code. Exit at once if a thread still hangs in a camera read, because nothing can interrupt that."""
    if any(thread.daemon for thread in threading.enumerate()):
        flush_streams()
        # If the interpreter shuts down while a thread is inside FFmpeg, the process can abort.
        os._exit(code)
    flush_streams()
    raise typer.Exit(code)


def start() -> NoReturn:
    """Run the command line of this process and exit: the installed command ``true-sight``, and this script."""
    if sys.argv[1:2] == ["doctor"]:  # to watch a source with that name, write ./doctor
        from monitor.app.doctor.doctor_command import app as doctor

        run_app(doctor, sys.argv[2:], f"{Path(sys.argv[0]).name} doctor")
    if sys.argv[1:2] == ["discover"]:
        from monitor.app.discovery.discover_command import app as discover

        run_app(discover, sys.argv[2:], f"{Path(sys.argv[0]).name} discover")
    if sys.argv[1:2] == ["forget"]:
        from monitor.app.forget_command import app as forget

        run_app(forget, sys.argv[2:], f"{Path(sys.argv[0]).name} forget")
    if sys.argv[1:2] == ["fleet"]:
        from monitor.app.fleet.fleet_command import app as fleet

        run_app(fleet, sys.argv[2:], f"{Path(sys.argv[0]).name} fleet")
    for before, word in zip(sys.argv[1:], sys.argv[2:], strict=False):
        if word in ("doctor", "discover", "forget", "fleet") and not before.startswith("-") and not Path(word).exists():
            program = Path(sys.argv[0]).name
            complain(f"error: {word} is a command: write it first, as in `{program} {word} ...`, then the options")
            sys.exit(2)
    run_app(app)


if __name__ == "__main__":
    start()
