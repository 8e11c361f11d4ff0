"""The command line of training: ``python -m training train | submission | evaluate | what-if``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.errors import MonitorError
from training.output import Post

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train a model, score a test set, measure a model.")

ModelFolder = Annotated[Path, typer.Option("--model", help="Model folder, as written by train.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@app.command()
def train(
    data: Annotated[list[str], typer.Option(help="Normal footage: an Avenue tree, a folder of frames, or a video.")],
    out: Annotated[Path, typer.Option(help="Model folder to write; an older model there is replaced when done.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Further footage.")] = None,
    recipe: Annotated[str, typer.Option(help="default, published, or a TOML file.")] = "default",
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the footage.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model on the same machine.")] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Learn what is normal from footage and write a model folder."""
    from training.progress import Report
    from training.recipe import load_recipe
    from training.train import train_model, unfinished

    report = Report()
    try:
        train_model(
            [*data, *(more or [])],
            out,
            load_recipe(recipe, epochs=epochs),
            seed=seed,
            device=device,
            resume=resume,
            report=report,
        )
    except KeyboardInterrupt:
        done = unfinished(out)
        if done:
            report.say(f"stopped; {done} epochs are kept: the same command with --resume goes on from there")
        else:
            report.say("stopped before the first epoch was done; nothing is kept")
        raise typer.Exit(130) from None


@app.command()
def submission(
    data: Annotated[str, typer.Option(help="Avenue tree, or folder of videos or folders named by number.")],
    model: ModelFolder,
    out: Annotated[Path, typer.Option(help="CSV file to write: Id,Predicted.")] = Path("submission.csv"),
    post: Annotated[Post, typer.Option(help="published (offline) or causal (as it runs live).")] = Post.PUBLISHED,
    device: Device = "auto",
) -> None:
    """Write the competition's file for a test set."""
    from monitor.model_store import load_model
    from training.fit import choose_device
    from training.progress import Report
    from training.submission import write_submission

    report = Report()
    rows = write_submission(data, load_model(model, str(choose_device(device))), out, post, report)
    report.say(f"{rows} rows written to {out}")


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option(help="labels.json: file -> frames and abnormal intervals.")],
    model: ModelFolder,
    subset: Annotated[str | None, typer.Option(help="avenue, ped1, or the start of the files' names.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
    post: Annotated[Post, typer.Option(help="causal (as it runs live) or published (offline).")] = Post.CAUSAL,
    device: Device = "auto",
) -> None:
    """Measure a model on labelled footage: AUC and average precision, beside the mean frame difference."""
    from monitor.model_store import load_model
    from training.evaluate import evaluate as measure
    from training.evaluate import overlap, write_json
    from training.fit import choose_device
    from training.labels import load_labels
    from training.progress import Report

    report = Report()
    videos = load_labels(data, subset)
    loaded = load_model(model, str(choose_device(device)))
    if trained := overlap(videos, loaded.provenance.data):
        report.say(f"{len(trained)} of the videos were trained on ({trained[0]}): their frames are too easy")
    found = measure(videos, loaded, post, report)
    if json_file is not None:
        write_json(found, json_file)
    typer.echo(found.text())


@app.command()
def what_if(
    scores: Annotated[Path, typer.Option(help="Record of a run, as written by run_monitor.py --record-scores.")],
    threshold: Annotated[
        float | None, typer.Option(min=0.01, help="Raise the threshold by this factor, or lower it: 1.2, 0.8.")
    ] = None,
    false_alarms_per_day: Annotated[
        float | None, typer.Option(min=1e-6, help="Work the threshold out anew for this budget a camera.")
    ] = None,
    on: Annotated[float | None, typer.Option(help="An alert may begin at this score.")] = None,
    off: Annotated[float | None, typer.Option(help="It goes on while the score is at this or above.")] = None,
    min_duration: Annotated[float | None, typer.Option(help="Seconds that the score has to stay up.")] = None,
    merge_gap: Annotated[float | None, typer.Option(help="Seconds that it has to stay down for the end.")] = None,
    update_every: Annotated[float | None, typer.Option(help="Seconds between updates of an open alert.")] = None,
    cooldown: Annotated[float | None, typer.Option(help="Seconds after an alert without notifications.")] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="The lines of --record-alerts, without regions and reasons.")
    ] = False,
) -> None:
    """Work out which alerts a recorded run would have raised with other settings, without its model and footage."""
    from rich.console import Console

    from monitor.record import alert_line, read_scores
    from training.what_if import Changes, alert_table, notes, replay, summary_table

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
    console = Console()
    console.print(summary_table(outcome))
    console.print()
    console.print(alert_table(outcome))
    for note in notes(outcome, false_alarms_per_day):
        console.print(note, highlight=False, soft_wrap=True)


def main() -> None:
    """Run; an error raised on purpose is one line on stderr and its exit code."""
    try:
        app()
    except MonitorError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
