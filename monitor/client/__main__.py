"""``python -m monitor.client``: print a monitor's alerts in a terminal or as JSON lines, or make keys."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from monitor.alerts.keys import make_keys
from monitor.alerts.messages import DEFAULT_ALERTS_ENDPOINT, DEFAULT_HISTORY_ENDPOINT, DEFAULT_SCORES_ENDPOINT
from monitor.client.items import Expired, Gap, Received, UnknownCamera
from monitor.client.lines import json_line, text_line
from monitor.client.saved_pictures import EvidenceFolder
from monitor.client.subscriber import AlertSubscriber
from monitor.errors import MonitorError
from monitor.text.commands import monitor_command, python_command

CAUGHT_UP_WITHIN_S = 10.0
"""With --no-follow, a monitor that is not heard for so long is not there."""


def _print_items(
    subscriber: AlertSubscriber,
    write: Callable[[str], object],
    *,
    as_json: bool,
    count: int | None,
    evidence: EvidenceFolder | None,
) -> tuple[int, bool]:
    """Print until ``count`` messages have come, or for ever; how many came, and whether all cameras are known."""
    received, known = 0, True
    for item in subscriber:
        if isinstance(item, Received):
            received += 1
            if evidence is not None:
                evidence.save(item)
            write(json_line(item, subscriber.token) if as_json else text_line(item))
        elif isinstance(item, Gap | Expired) and as_json:
            write(json_line(item))
        else:
            known = known and not isinstance(item, UnknownCamera)
            typer.echo(text_line(item), err=True)
        if count is not None and received >= count:
            break
    return received, known


def _nothing_came(endpoint: str, timeout_s: float, *, heard: bool) -> str:
    """What did not come, and what to do about it."""
    if heard:
        return (
            f"no message came from {endpoint} within {timeout_s:g} s, though a monitor was heard there: "
            "give --timeout more seconds, or --since 1h for what has been"
        )
    return (
        f"no monitor was heard at {endpoint} within {timeout_s:g} s: start one with "
        f"`{monitor_command()}`, or give its alerts address with --endpoint"
    )


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut addresses and the names of options at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    invoke_without_command=True,
    epilog="Exit code: 0; 1 if nothing came in time, with --no-follow the monitor knows no such camera, or it refuses "
    "these keys; 2 for an option that cannot be used.",
)
def main(
    context: typer.Context,
    endpoint: Annotated[
        str, typer.Option(metavar="ADDR", help="The monitor's alerts address.")
    ] = DEFAULT_ALERTS_ENDPOINT,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on for ever, or end after what has been sent by now.")
    ] = True,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="AGE|TIME|TOKEN",
            help="Begin so long ago (90s, 30m, 2h, 7d), at a time (2026-03-02T14:00), or after the message whose "
            "--json line held this token. Without it: with the events that are open now. "
            "A client that waits for the monitor to start misses nothing of it.",
        ),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Print scores too.")] = False,
    scores_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help=f"The monitor's scores address, if not {DEFAULT_SCORES_ENDPOINT}. Implies --scores.",
        ),
    ] = None,
    history_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help=f"The monitor's history address, if not as it says itself (it is {DEFAULT_HISTORY_ENDPOINT}).",
        ),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this camera; may be given several times.")
    ] = None,
    health: Annotated[bool, typer.Option("--health", help="Print changes of the cameras' health too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    save_evidence: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the pictures that come with alerts into this folder.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of this client's keys, if the monitor asks for keys.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many messages.")] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="End after so many seconds without a message.")
    ] = None,
) -> None:
    """Print a monitor's alerts as they come, each once, lost ones had again."""
    if context.invoked_subcommand is not None:
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if scores and scores_endpoint is None:
        scores_endpoint = DEFAULT_SCORES_ENDPOINT
    if not follow and timeout is None:
        timeout = CAUGHT_UP_WITHIN_S
    try:
        evidence = None if save_evidence is None else EvidenceFolder(save_evidence)
        with AlertSubscriber(
            endpoint,
            since=since,
            scores_endpoint=scores_endpoint,
            history_endpoint=history_endpoint,
            cameras=camera or None,
            health=health,
            keys=keys,
            follow=follow,
            timeout_s=timeout,
        ) as subscriber:
            received, known = _print_items(subscriber, _write_line, as_json=as_json, count=count, evidence=evidence)
            heard = subscriber.heard_before
    except MonitorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read has gone (``| head``); without this, Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if not (received or (heard and not follow)):
        typer.echo(_nothing_came(endpoint, timeout or 0.0, heard=heard), err=True)
        raise typer.Exit(1)
    if not (received or known):
        raise typer.Exit(1)  # why has been said


@app.command("keys", short_help="Make the monitor's keys, and those of clients.")
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go.")],
    name: Annotated[str, typer.Option(help="Name of the client.")] = "client",
) -> None:
    """Make the monitor's keys, unless DIR has them already, and those of a client. Never overwrites any."""
    try:
        for file in make_keys(folder, name):
            typer.echo(f"wrote {file}")
    except MonitorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(
        f'\nMonitor: take {folder}/monitor there, and set keys = "{folder}/monitor" under [publish].\n'
        f"Client:  take {folder}/{name} there, and give --keys {folder}/{name}.\n"
        f"Another client: {python_command(f'-m monitor.client keys {folder} --name NAME')}"
    )


if __name__ == "__main__":
    app()
