"""The commands that measure: ``submission``, ``evaluate`` and ``what-if``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from monitor.errors import UsageError
from monitor.settings import given_path
from monitor.text.outside import plain, safe_lines
from monitor.text.wording import counted, listed
from training.command_parts import AnalysisFps, Device, Fps, ModelFolder, needs, stoppable
from training.output import Post, check_output_file, make_writable, no_empty_folders, terminal_width, write_whole
from training.progress import Report


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
    with stoppable(report, lambda: f"stopped: {out} is not written"):
        rows = write_submission(data, load_model(model, str(find_device(device))), out, post, report)
        report.say(f"{counted(rows, 'row')} written to {out}")


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
    analysis_fps: AnalysisFps = 10.0,
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
    with needs("sklearn", "scikit-learn", "evaluate"):
        from training.evaluate.evaluation import Settings, WatchSettings, overlap
        from training.evaluate.evaluation import evaluate as measure
        from training.evaluate.evaluation_report import text, to_json
        from training.evaluate.paired import against as compare
        from training.evaluate.paired import comparison
    if plots is not None:
        with needs("matplotlib", "matplotlib", "--plots"):
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
    with stoppable(report, stopped), no_empty_folders(*made):
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
