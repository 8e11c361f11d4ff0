"""The command line of training: ``python -m training learn | rollback | pretrain | train | submission | ...``."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from monitor.detector.registry import LEARNED
from monitor.errors import RunError
from monitor.settings import given_path
from monitor.state_folder import state_folder
from monitor.text.command_line import run_app
from monitor.text.commands import monitor_command
from monitor.text.streams import prepare_streams
from monitor.text.wording import counted
from training.command_parts import MOST_SEED, AnalysisFps, Device, Fps, Models, needs, stoppable
from training.evaluate.evaluate_commands import evaluate, submission, what_if
from training.pretrain.pretrain_command import pretrain
from training.progress import JsonReport, Report
from training.stopping import stopping_in_time

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Learn a camera, train the published network, measure models, score a test set.",
)


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
    models: Models = None,
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
    analysis_fps: AnalysisFps = 10.0,
    fps: Fps = 25.0,
    false_alarms_per_day: Annotated[
        float, typer.Option(min=1e-3, max=1e5, metavar="N", help="Budget that a better version is compared at.")
    ] = 1.0,
    max_ms: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1e6, metavar="MS", help="Milliseconds per frame that all detectors together may take."
        ),
    ] = None,
    pretrained: Annotated[
        str,
        typer.Option(metavar="DIR|none", help="Pre-trained weights that the network starts from; none: random ones."),
    ] = "none",
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
    start = None
    if pretrained != "none":
        from training.learn.pretrained_weights import load_pretrained  # loads slowly

        start = load_pretrained(given_path(pretrained))
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
        max_ms=max_ms,
        pretrained=start,
    )
    with stoppable(report, lambda: "stopped: earlier versions of the model are unchanged"):
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
    models: Models = None,
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
        with needs("torchvision", "torchvision", "the published augmentation"):
            import torchvision  # type: ignore[import-untyped]  # noqa: F401 - said now, not after the footage is read
    with stoppable(report, kept):
        train_model(
            [*data, *(more or [])],
            out,
            chosen,
            seed=seed,
            device=device,
            resume=resume,
            report=report,
        )


app.command(short_help="Pre-train the network true-sight-2 on many scenes.")(pretrain)
app.command()(submission)
app.command(short_help="Measure a model on labelled footage, or count alarms.")(evaluate)
app.command(short_help="Show which alerts a recorded run would have raised with other settings.")(what_if)


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
