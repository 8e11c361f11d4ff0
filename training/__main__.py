"""The command line of training: ``python -m training learn | rollback | train | submission | evaluate | what-if``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from monitor.detector.registry import LEARNED
from monitor.errors import RunError, UsageError
from monitor.settings import given_path
from monitor.state_folder import state_folder
from monitor.text.command_line import run_app
from monitor.text.commands import monitor_command, python_command
from monitor.text.outside import plain, safe_lines
from monitor.text.streams import prepare_streams
from monitor.text.wording import counted, listed
from training.output import Post, check_output_file, make_writable, no_empty_folders, terminal_width, write_whole
from training.progress import JsonReport, Report
from training.stopping import STOPPED, stopping_in_time

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Learn a camera, train the published network, measure models, score a test set.",
)

ModelFolder = Annotated[
    Path,
    typer.Option("--model", parser=given_path, metavar="FOLDER", help="Model folder that learn or train has written."),
]
MOST_SEED = 2**32 - 1
"""The random generators of all libraries take seeds up to this."""

Fps = Annotated[
    float,
    typer.Option(min=0.001, max=1000, metavar="N", help="Frames per second of folders of images, as in a live run."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Device for networks: auto, cpu, cuda or cuda:N.")]


@app.command(short_help="Learn what is normal for a camera.")
def learn(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Normal footage of one camera: videos, folders of frames, an Avenue tree; or the URL of a camera.",
        ),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the model; its versions are written to DIR/NAME.")],
    models: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, metavar="DIR", help="Folder of all models. Default: where the monitor looks for them."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="DIR",
            help="State folder of the monitor: models are in DIR/models.",
        ),
    ] = None,
    record: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long to record from a live camera: 90s, 10m, 2h.")
    ] = "10m",
    detectors: Annotated[str, typer.Option(metavar="A,B", help="Detectors to learn.")] = ",".join(LEARNED),
    from_s: Annotated[
        float, typer.Option(min=0, max=1e9, metavar="S", help="Skip everything before this second of each file.")
    ] = 0.0,
    to_s: Annotated[
        float, typer.Option(min=0, metavar="S", help="Skip everything after this second of each file.")
    ] = math.inf,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, metavar="N", help="Seed; the same seed gives the same model.")
    ] = 0,
    device: Device = "cpu",
    analysis_fps: Annotated[
        float,
        typer.Option(
            min=0, max=1000, metavar="N", help="Frames analysed per second, as in a live run; 0 = every frame."
        ),
    ] = 10.0,
    fps: Fps = 25.0,
    false_alarms_per_day: Annotated[
        float, typer.Option(min=1e-3, max=1e5, metavar="N", help="Budget that a better version is compared at.")
    ] = 1.0,
    watched: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="What the monitor records of the camera meanwhile.", hidden=True),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Report progress as JSON lines, for a program.")] = False,
) -> None:
    """Learn what is normal for a camera and write a version of its model. The monitor can use it at once."""
    import cv2

    from monitor.text.durations import parse_duration
    from training.learn.learn_model import WORKERS, LearnSettings, check_name
    from training.learn.learn_model import learn as learn_model
    from training.learn.recording import footage_of

    cv2.setNumThreads(1)
    report = JsonReport() if json_lines else Report()
    wanted = tuple(part.strip() for part in detectors.split(",") if part.strip())
    if models is not None and state is not None:
        raise typer.BadParameter("give --models or --state, not both", param_hint="--state")
    place = models or state_folder(state).models
    settings = LearnSettings(
        name,
        place,
        wanted,
        seed,
        device,
        from_s,
        to_s,
        false_alarms_per_day,
        workers=WORKERS,
        analysis_fps=analysis_fps,
        watched=watched,
    )
    with _stoppable(report, lambda: "stopped: earlier versions of the model are unchanged"):
        check_name(settings)
        with report.beating(), TemporaryDirectory() as folder:
            found = footage_of(sources, Path(folder), parse_duration(record), report, analysis_fps, fps)
            learn_model(found, sources, settings, report, report.version)
    if not json_lines:
        elsewhere = "" if models is None else f" --model {models / name}"
        elsewhere = elsewhere if state is None else f" --state {state}"
        report.say(f"to watch with this model: `{monitor_command(f'{name}=SOURCE{elsewhere}')}`")
        report.say("a monitor that runs takes the model over when it gets SIGHUP (kill -HUP PID), or at its next start")


@app.command(short_help="Go back to the version of a camera's model before the newest one.")
def rollback(
    camera: Annotated[str, typer.Argument(metavar="CAMERA", help="Name of the camera, or of its model.")],
    models: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, metavar="DIR", help="Folder of all models. Default: where the monitor looks for them."
        ),
    ] = None,
) -> None:
    """Set the newest version of a camera's model aside, so that the one before it is used."""
    from monitor.learning.grown_version import roll_back

    report = Report()
    try:
        aside, used = roll_back((models or state_folder().models) / camera)
    except OSError as error:
        raise RunError(f"the newest version cannot be set aside: {error.strerror}; nothing was changed") from error
    report.say(f"version {used.name} is used from now on; the newer one is kept as {aside}")
    report.say("a monitor that runs goes back when it gets SIGHUP (kill -HUP PID), or at its next start")


@app.command(short_help="Train the published network alone, with a recipe.")
def train(
    data: Annotated[
        list[str], typer.Option(metavar="PATH", help="Normal footage: an Avenue tree, a folder of frames, or a video.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=given_path,
            metavar="FOLDER",
            help="Model folder to write; replaces an older model there when training is complete.",
        ),
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="More footage.")] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help="Recipe: default, published, or the path of a TOML file.")
    ] = "default",
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of passes over the footage.")] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_SEED, metavar="N", help="Seed; the same seed gives the same model on the same machine."
        ),
    ] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
) -> None:
    """Learn what is normal from footage and write a model folder."""
    from training.autoencoder.recipe import load_recipe
    from training.autoencoder.train_model import train_model, unfinished

    report = Report()

    def kept() -> str:
        done = unfinished(out)
        if not done:
            return "stopped before the end of the first epoch: nothing is kept"
        return f"stopped: {counted(done, 'epoch')} kept; to continue, run the same command with --resume"

    chosen = load_recipe(recipe, epochs=epochs)
    if chosen.augment == "published":
        with _needs("torchvision", "torchvision", "the published augmentation"):
            import torchvision  # type: ignore[import-untyped]  # noqa: F401 - said now, not after the footage is read
    with _stoppable(report, kept):
        train_model(
            [*data, *(more or [])],
            out,
            chosen,
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
    out: Annotated[
        Path, typer.Option(parser=given_path, metavar="FILE", help="CSV file to write: Id,Predicted.")
    ] = Path("submission.csv"),
    post: Annotated[
        Post,
        typer.Option(metavar="NAME", help="How to process scores: published (offline) or causal (as in a live run)."),
    ] = Post.PUBLISHED,
    device: Device = "auto",
) -> None:
    """Write the competition's submission file for a test set."""
    from monitor.detector.device import find_device
    from monitor.model.model_store import load_model
    from training.evaluate.submission import write_submission

    report = Report()
    with _stoppable(report, lambda: f"stopped: {out} is not written"):
        rows = write_submission(data, load_model(model, str(find_device(device))), out, post, report)
        report.say(f"{counted(rows, 'row')} written to {out}")


@app.command(short_help="Measure a model on labelled footage, or count alarms.")
def evaluate(
    model: ModelFolder,
    data: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, metavar="PATH", help="labels.json, or a folder of videos and .mat, .npy or .npz labels."
        ),
    ] = None,
    alarms_per_day: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="PATH",
            help="Instead of --data: count alarms on whole days of footage without labels.",
        ),
    ] = None,
    subset: Annotated[
        str | None, typer.Option(metavar="NAME", help="avenue, ped1, umn-1, umn-2, or the start of the files' names.")
    ] = None,
    false_alarms_per_day: Annotated[
        float, typer.Option(min=1e-6, metavar="N", help="False-alarm budget; sets the threshold.")
    ] = 1.0,
    analysis_fps: Annotated[
        float,
        typer.Option(
            min=0, max=1000, metavar="N", help="Frames analysed per second, as in a live run; 0 = every frame."
        ),
    ] = 10.0,
    fps: Fps = 25.0,
    against: Annotated[
        Path | None,
        typer.Option(parser=given_path, metavar="FOLDER", help="With --data: compare with the model in this folder."),
    ] = None,
    corrupt: Annotated[
        str | None,
        typer.Option(
            metavar="FAULTS", help="Add faults to shares of the frames: flip=0.1,noise=0.2 (also drop=, seed=)."
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", parser=given_path, metavar="FILE", help="Also write the figures to this file."),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="FOLDER",
            help="Draw score curves, ROC curves and heat maps as PNG files in this folder.",
        ),
    ] = None,
    post: Annotated[
        Post,
        typer.Option(metavar="NAME", help="How to process scores: causal (as in a live run) or published (offline)."),
    ] = Post.CAUSAL,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Process frame after frame, as in a live run. This is the default.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Measure a model on labelled footage, or count its alarms on footage without labels."""
    if (data is None) == (alarms_per_day is None):
        raise UsageError("give either --data (footage with labels) or --alarms-per-day (footage without labels)")
    if streaming and post is Post.PUBLISHED:
        raise UsageError("--streaming and --post published exclude each other: remove one of them")
    if alarms_per_day is not None and (subset or corrupt or plots or against or post is Post.PUBLISHED):
        raise UsageError("--subset, --against, --corrupt, --plots and --post only work with --data: remove them")
    with _needs("sklearn", "scikit-learn", "evaluate"):
        from training.evaluate.evaluation import Settings, WatchSettings, overlap
        from training.evaluate.evaluation import evaluate as measure
        from training.evaluate.evaluation_report import text, to_json
        from training.evaluate.paired import against as compare
        from training.evaluate.paired import comparison
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
        return f"stopped: the finished plots are in {plots}" if drawing else "stopped: nothing is written"

    made = [folder for folder in (plots, json_file and json_file.parent) if folder is not None]
    with _stoppable(report, stopped), no_empty_folders(*made):
        faults = None if corrupt is None else Corruption.parse(corrupt)
        videos = [] if data is None else load_labels(data, subset)
        loaded = load_model(model, str(find_device(device)))
        other = None if against is None else load_model(against, str(find_device(device)))
        if json_file is not None:
            check_output_file(json_file, "--json")
        if plots is not None:
            make_writable(plots, "--plots")
        if alarms_per_day is not None:
            alarms = count_alarms(alarms_per_day, loaded, false_alarms_per_day, report, analysis_fps, fps)
            shown, figures = alarms.text(terminal_width()), to_json(alarms)
        else:
            if trained := overlap(videos, loaded.provenance.data):
                report.say(
                    f"warning: trained on {len(trained)} of these videos ({listed(trained, 3)}): results are too good"
                )
            watching = WatchSettings(analysis_fps, faults, 4 if plots is not None else 0, fps)
            settings = Settings(post, false_alarms_per_day, watching)
            found = measure(videos, loaded, report, settings)
            shown, figures = text(found.evaluation, terminal_width()), to_json(found.evaluation)
            if other is not None:
                beside = compare(found, measure(videos, other, report, settings))
                shown += f"\n\n{comparison(beside)}"
                figures = to_json({**asdict(found.evaluation), "against": asdict(beside)})
            if plots is not None:
                drawing = True
                report.say(f"{counted(len(draw(found, plots)), 'picture')} drawn in {plots}")
        if json_file is not None:
            write_whole(json_file, figures)
        typer.echo(safe_lines(shown))


@app.command(short_help="Show which alerts a recorded run would have raised with other settings.")
def what_if(
    scores: Annotated[
        Path,
        typer.Option(parser=given_path, metavar="FILE", help="Score record of a run (the monitor's --record-scores)."),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="N", help="Multiply the threshold by this factor, such as 1.2 or 0.8."),
    ] = None,
    false_alarms_per_day: Annotated[
        float | None,
        typer.Option(min=1e-6, metavar="N", help="Compute a new threshold for this false-alarm budget per camera."),
    ] = None,
    on: Annotated[float | None, typer.Option(metavar="N", help="An alert can begin at this score.")] = None,
    off: Annotated[
        float | None, typer.Option(metavar="N", help="An alert continues while the score is at or above this.")
    ] = None,
    min_duration: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that the score must stay high before an alert begins.")
    ] = None,
    merge_gap: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that the score must stay low before an alert ends.")
    ] = None,
    update_every: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds between updates of an open alert.")
    ] = None,
    cooldown: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds without notifications after an alert.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print the lines of --record-alerts, without regions and reasons.")
    ] = False,
) -> None:
    """Compute which alerts a recorded run would have raised with other settings. Needs neither model nor footage."""
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
    console = Console(width=terminal_width() or 1000)  # in a file or a pipe, each row stays on one line
    console.print(summary_table(outcome))
    console.print()
    console.print(alert_table(outcome))
    for note in notes(outcome, false_alarms_per_day):
        console.print(plain(note), soft_wrap=True)


@contextmanager
def _needs(module: str, package: str, what: str) -> Iterator[None]:
    """Turn an import that fails because the package is not installed into a UsageError that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise UsageError(f"{what} needs {package}: run `{python_command(f'-m pip install {package}')}`") from None


@contextmanager
def _stoppable(report: Report, stopped: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C (or SIGTERM), end the command with the sentence of ``stopped`` and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        report.say(stopped())
        raise typer.Exit(STOPPED) from None


def main() -> None:
    """Run the command line. A MonitorError becomes one line on stderr and its exit code."""
    prepare_streams()
    run_app(app)


def start() -> None:
    """Run the command line of this process: the installed command ``true-sight-training``, and this module."""
    with stopping_in_time():
        main()


if __name__ == "__main__":
    start()
