"""The command line of training: ``python -m training learn | train | submission | evaluate | what-if``."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from monitor.errors import MonitorError, UsageError
from monitor.text.commands import monitor_command, python_command
from monitor.text.wording import counted, listed
from training.output import Post, check_output_file, make_writable, no_empty_folders, terminal_width, write_whole
from training.progress import JsonReport, Report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut addresses and the names of options at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a model, score a test set, measure a model.",
)

ModelFolder = Annotated[
    Path, typer.Option("--model", metavar="FOLDER", help="Model folder, as written by learn or train.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]


@app.command(short_help="Learn what is normal for a camera, ready to watch with.")
def learn(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Normal footage of one camera: videos, folders of frames, an Avenue tree; or a URL.",
        ),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="The model's name: versions are written to DIR/NAME.")],
    models: Annotated[Path, typer.Option(metavar="DIR", help="Folder of all models.")] = Path("models"),
    record: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long to record from a live camera: 90s, 10m, 2h.")
    ] = "10m",
    detectors: Annotated[
        str, typer.Option(metavar="A,B", help="Detectors to learn.")
    ] = "motion,static,scene,true-sight-2",
    from_s: Annotated[float, typer.Option(min=0, metavar="S", help="Leave out what comes before in each file.")] = 0.0,
    to_s: Annotated[float, typer.Option(min=0, metavar="S", help="Leave out what comes after.")] = math.inf,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed gives the same model.")] = 0,
    device: Device = "cpu",
    json_lines: Annotated[bool, typer.Option("--json", help="Say how far it is in JSON lines, for a program.")] = False,
) -> None:
    """Learn what is normal for a camera and write a version of its model, ready to watch with."""
    import cv2

    from monitor.text.durations import parse_duration
    from training.learn.learn_model import WORKERS, LearnSettings, check_name
    from training.learn.learn_model import learn as learn_model
    from training.learn.recording import footage_of

    cv2.setNumThreads(1)
    report = JsonReport() if json_lines else Report()
    wanted = tuple(part.strip() for part in detectors.split(",") if part.strip())
    settings = LearnSettings(name, models, wanted, seed, device, from_s, to_s, workers=WORKERS)
    with _stoppable(report, lambda: "stopped: what had been written before is untouched"):
        check_name(settings)
        with TemporaryDirectory() as folder:
            found = footage_of(sources, Path(folder), parse_duration(record), report)
            learn_model(found, sources, settings, report, report.version)
    if not json_lines:
        elsewhere = "" if models == Path("models") else f" --model {models / name}"
        report.say(f"watch with it: `{monitor_command(f'{name}=SOURCE{elsewhere}')}`")


@app.command(short_help="Train the published network alone, with a recipe.")
def train(
    data: Annotated[
        list[str], typer.Option(metavar="PATH", help="Normal footage: an Avenue tree, a folder of frames, or a video.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Model folder to write; an older model there is replaced when done.")
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="Further footage.")] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME", help="default, published, or a TOML file.")] = "default",
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Passes over the footage.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="The same seed gives the same model on the same machine.")
    ] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Learn what is normal from footage and write a model folder."""
    from training.autoencoder.recipe import load_recipe
    from training.autoencoder.train_model import train_model, unfinished

    report = Report()

    def kept() -> str:
        done = unfinished(out)
        if not done:
            return "stopped before the first epoch was done: nothing is kept"
        return f"stopped: {counted(done, 'epoch')} kept, the same command with --resume goes on from there"

    with _stoppable(report, kept):
        train_model(
            [*data, *(more or [])],
            out,
            load_recipe(recipe, epochs=epochs),
            seed=seed,
            device=device,
            resume=resume,
            report=report,
        )


@app.command()
def submission(
    data: Annotated[
        str, typer.Option(metavar="PATH", help="Avenue tree, or folder of videos or folders named by number.")
    ],
    model: ModelFolder,
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV file to write: Id,Predicted.")] = Path(
        "submission.csv"
    ),
    post: Annotated[
        Post, typer.Option(metavar="NAME", help="published (offline) or causal (as it runs live).")
    ] = Post.PUBLISHED,
    device: Device = "auto",
) -> None:
    """Write the competition's file for a test set."""
    from monitor.detector.device import find_device
    from monitor.model.model_store import load_model
    from training.evaluate.submission import write_submission

    report = Report()
    with _stoppable(report, lambda: f"stopped: {out} is not written"):
        rows = write_submission(data, load_model(model, str(find_device(device))), out, post, report)
        report.say(f"{counted(rows, 'row')} written to {out}")


@app.command(short_help="Measure a model on labelled footage; count alarms on other.")
def evaluate(
    model: ModelFolder,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="labels.json, or a folder of videos and .mat, .npy or .npz labels."),
    ] = None,
    alarms_per_day: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Instead: count alarms on footage without labels, whole days.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(metavar="NAME", help="avenue, ped1, umn-1, umn-2, or the start of the files' names.")
    ] = None,
    false_alarms_per_day: Annotated[
        float, typer.Option(min=1e-6, metavar="N", help="Budget that the threshold is worked out for.")
    ] = 1.0,
    analysis_fps: Annotated[
        float, typer.Option(min=0, metavar="N", help="Frames analysed a second, as live; 0 for all.")
    ] = 10.0,
    corrupt: Annotated[
        str | None,
        typer.Option(
            metavar="FAULTS", help="Put faults into shares of the frames: flip=0.1,noise=0.2 (or drop=, seed=)."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw score curves, ROC and heat maps as PNG files there.")
    ] = None,
    post: Annotated[
        Post, typer.Option(metavar="NAME", help="causal (as it runs live) or published (offline).")
    ] = Post.CAUSAL,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="As it runs live, frame after frame: the default, said in full.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Measure a model on labelled footage, or count its alarms on footage without labels."""
    if (data is None) == (alarms_per_day is None):
        raise UsageError("evaluate takes either --data with labels or --alarms-per-day without: give one of them")
    if streaming and post is Post.PUBLISHED:
        raise UsageError("--streaming and --post published exclude each other: leave one of them out")
    if alarms_per_day is not None and (subset or corrupt or plots or post is Post.PUBLISHED):
        raise UsageError("--subset, --corrupt, --plots and --post belong to --data: leave them out")
    with _needs("sklearn", "scikit-learn", "evaluate"):
        from training.evaluate.evaluation import Settings, WatchSettings, overlap
        from training.evaluate.evaluation import evaluate as measure
        from training.evaluate.evaluation_report import text, to_json
    if plots is not None:
        with _needs("matplotlib", "matplotlib", "--plots"):
            from training.evaluate.plots import draw
    from monitor.detector.device import find_device
    from monitor.model.model_store import load_model
    from training.evaluate.alarm_count import count_alarms
    from training.evaluate.corrupt import Corruption
    from training.evaluate.labels import load_labels

    report = Report()
    drawing = False

    def stopped() -> str:
        return f"stopped: what had been drawn is in {plots}" if drawing else "stopped: nothing is written"

    made = [folder for folder in (plots, json_file and json_file.parent) if folder is not None]
    with _stoppable(report, stopped), no_empty_folders(*made):
        faults = None if corrupt is None else Corruption.parse(corrupt)
        videos = [] if data is None else load_labels(data, subset)
        loaded = load_model(model, str(find_device(device)))
        if json_file is not None:
            check_output_file(json_file, "--json")
        if plots is not None:
            make_writable(plots, "--plots")
        if alarms_per_day is not None:
            alarms = count_alarms(alarms_per_day, loaded, false_alarms_per_day, report, analysis_fps)
            shown, figures = alarms.text(terminal_width()), to_json(alarms)
        else:
            if trained := overlap(videos, loaded.provenance.data):
                report.say(f"trained on {len(trained)} of the videos ({listed(trained, 3)}): their frames are too easy")
            watching = WatchSettings(analysis_fps, faults, snapshots=4 if plots is not None else 0)
            found = measure(videos, loaded, report, Settings(post, false_alarms_per_day, watching))
            shown, figures = text(found.evaluation, terminal_width()), to_json(found.evaluation)
            if plots is not None:
                drawing = True
                report.say(f"{counted(len(draw(found, plots)), 'picture')} drawn in {plots}")
        if json_file is not None:
            write_whole(json_file, figures)
        typer.echo(shown)


@app.command(short_help="Which alerts a recorded run would have raised otherwise.")
def what_if(
    scores: Annotated[
        Path, typer.Option(metavar="FILE", help="Record of a run, as written by run_monitor.py --record-scores.")
    ],
    threshold: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="N", help="Raise the threshold by this factor, or lower it: 1.2, 0.8."),
    ] = None,
    false_alarms_per_day: Annotated[
        float | None, typer.Option(min=1e-6, metavar="N", help="Work the threshold out anew for this budget a camera.")
    ] = None,
    on: Annotated[float | None, typer.Option(metavar="N", help="An alert may begin at this score.")] = None,
    off: Annotated[
        float | None, typer.Option(metavar="N", help="It goes on while the score is at this or above.")
    ] = None,
    min_duration: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that the score has to stay up.")
    ] = None,
    merge_gap: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that it has to stay down for the end.")
    ] = None,
    update_every: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds between updates of an open alert.")
    ] = None,
    cooldown: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds after an alert without notifications.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="The lines of --record-alerts, without regions and reasons.")
    ] = False,
) -> None:
    """Work out which alerts a recorded run would have raised with other settings, without its model and footage."""
    from rich.console import Console

    from monitor.sinks.score_record import alert_line, read_scores
    from training.evaluate.what_if import Changes, alert_table, notes, replay, summary_table

    alert = {
        "on": on,
        "off": off,
        "min_duration_s": min_duration,
        "merge_gap_s": merge_gap,
        "update_every_s": update_every,
        "cooldown_s": cooldown,
    }
    outcome = replay(read_scores(scores), Changes(threshold, false_alarms_per_day, alert))
    if json_lines:
        for step in outcome.alerts:
            typer.echo(alert_line(step))
        return
    console = Console(width=terminal_width() or 1000)  # in a file or a pipe, a row stays a line
    console.print(summary_table(outcome))
    console.print()
    console.print(alert_table(outcome))
    for note in notes(outcome, false_alarms_per_day):
        console.print(note, highlight=False, soft_wrap=True)


@contextmanager
def _needs(module: str, package: str, what: str) -> Iterator[None]:
    """An import that fails because the package is not installed is one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise UsageError(f"{what} needs {package}: run `{python_command(f'-m pip install {package}')}`") from None


@contextmanager
def _stoppable(report: Report, stopped: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) ends the command with a sentence and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        report.say(stopped())
        raise typer.Exit(130) from None


def main() -> None:
    """Run; an error raised on purpose is one line on stderr and its exit code. SIGTERM is like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    try:
        app()
    except MonitorError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
