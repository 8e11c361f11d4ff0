"""The command ``run_monitor.py doctor``: its arguments, output and exit code."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console

from monitor.app import flags
from monitor.app.config_file import load_config
from monitor.app.doctor.checkup import Checkup, examine
from monitor.app.doctor.doctor_report import hide_secrets, json_line, show_table, summary, text_line
from monitor.app.doctor.finding_report import Finding, State
from monitor.errors import MonitorError, UsageError
from monitor.text.command_line import say_error
from monitor.text.durations import parse_duration
from monitor.text.terminals import can_redraw

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def doctor(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=]SOURCE...", help="The same sources as for the monitor.", show_default=False),
    ] = None,
    config: flags.Config = None,
    model: flags.Model = None,
    learn: flags.Learn = None,
    state: flags.State = None,
    seconds: Annotated[float, typer.Option(metavar="S", min=0.5, max=600, help="How long to watch each camera.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    notify: Annotated[bool, typer.Option("--notify", help="Send a test message to each receiver of alerts.")] = False,
    fps: flags.Fps = None,
    analysis_fps: flags.AnalysisFps = None,
    false_alarms_per_day: flags.FalseAlarmsPerDay = None,
    device: flags.Device = None,
    alerts: flags.Alerts = None,
    scores: flags.Scores = None,
    history: flags.History = None,
    control: flags.Control = None,
    publish: flags.Publish = None,
    journal: flags.Journal = None,
    evidence: flags.Evidence = None,
    metrics: flags.Metrics = None,
    record_scores: flags.RecordScores = None,
    record_alerts: flags.RecordAlerts = None,
) -> None:
    """Check cameras, footage, models, ports, disk and device before a run; say what to fix.

    Exit codes: 0 no problem (warnings are possible), 1 a problem, 2 wrong usage.
    """
    try:
        given = flags.given_flags(
            model=model,
            state=state,
            fps=fps,
            analysis_fps=analysis_fps,
            false_alarms_per_day=false_alarms_per_day,
            device=device,
            alerts=alerts,
            scores=scores,
            history=history,
            control=control,
            publish=publish,
            journal=journal,
            evidence=evidence,
            metrics=metrics,
            learn_s=None if learn is None else parse_duration(learn),
        )
        if not (sources or config):
            raise UsageError("there is nothing to check: give --config FILE or a SOURCE")
        settings = load_config(config, given)
        checkup = Checkup(settings, sources or (), config, seconds, record_scores, record_alerts, notify)
        findings = report(checkup, Console(), as_json=as_json)
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from error
    raise typer.Exit(int(any(finding.state is State.PROBLEM for finding in findings)))


def report(checkup: Checkup, console: Console, *, as_json: bool) -> list[Finding]:
    """Check, print and return the findings. Without a terminal it prints each finding as soon as it is known."""
    findings = []
    live_view = can_redraw(console) and not as_json
    with ExitStack() as stack:
        status = stack.enter_context(console.status("starting")) if live_view else None
        for finding in map(hide_secrets, examine(checkup, status.update if status else lambda _: None)):
            findings.append(finding)
            if not live_view:
                print(json_line(finding) if as_json else text_line(finding), flush=True)  # noqa: T201
    if live_view:
        show_table(findings, console)
    elif not as_json:
        print(summary(findings))  # noqa: T201
    return findings
