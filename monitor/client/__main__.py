"""``python -m monitor.client``: print the alerts of a monitor as text or JSON lines, or make keys."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT, DEFAULT_HISTORY_ENDPOINT, DEFAULT_SCORES_ENDPOINT
from monitor.alerts.keys import make_keys
from monitor.alerts.messages import BudgetMessage, MomentMessage
from monitor.client.camera_commands import add_camera_commands
from monitor.client.client_options import AsJsonLines, Endpoint, HistoryEndpoint, Keys, OnlyCameras, Timeout
from monitor.client.control_commands import add_commands
from monitor.client.items import Contact, Expired, Gap, Received, UnknownCamera
from monitor.client.lines import budget_text, json_line, text_line
from monitor.client.place_commands import add_place_commands
from monitor.client.ranked_days import MomentPictures, RankedDays, table_lines
from monitor.client.saved_pictures import EvidenceFolder
from monitor.client.subscriber import AlertSubscriber
from monitor.errors import MonitorError
from monitor.text.command_line import pass_on_options, run_app, say_error
from monitor.text.commands import client_command, monitor_command
from monitor.text.escaping import cleaned, cleaned_lines
from monitor.text.outside import safe
from monitor.text.streams import prepare_streams
from monitor.text.wording import counted
from monitor.text.wrapping import complain

_BUDGET_SINCE = "2h"  # a message comes once per hour
_BROKEN_PROMISE = 3  # exit code
CAUGHT_UP_WITHIN_S = 10.0
"""With --no-follow, the default time to wait for a message, seconds. After it, no monitor counts as running."""


def _print_items(
    subscriber: AlertSubscriber,
    write: Callable[[str], object],
    *,
    as_json: bool,
    count: int | None,
    evidence: EvidenceFolder | None,
) -> tuple[int, bool]:
    """Print until ``count`` messages have come, or forever. Returns their number, and if all cameras are known."""
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
            complain(text_line(item))
        if count is not None and received >= count:
            break
    return received, known


def _nothing_came(endpoint: str, timeout_s: float, *, heard: bool) -> str:
    """Return a sentence that says what did not come and what to do."""
    if heard:
        return (
            f"no message came from {endpoint} within {timeout_s:g} s, but a monitor runs there: "
            "use a longer --timeout, or --since 1h for earlier messages"
        )
    return (
        f"no monitor answered at {endpoint} within {timeout_s:g} s: start one with "
        f"`{monitor_command()}`, or give its alerts address with --endpoint"
    )


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # with rich markup, tables cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    invoke_without_command=True,
    epilog="Exit code: 0 on success; 1 if no message came in time, if the monitor refuses these keys, or if, with "
    "--no-follow, the monitor does not know the camera or a message cannot be read; 2 if an option is wrong.",
)
def main(
    context: typer.Context,
    endpoint: Endpoint = DEFAULT_ALERTS_ENDPOINT,
    follow: Annotated[
        bool,
        typer.Option("--follow/--no-follow", help="Continue until stopped, or end after the messages sent so far."),
    ] = True,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="AGE|TIME|TOKEN",
            help="Begin this long ago (90s, 30m, 2h, 7d), at a time (2026-03-02T14:00), or after the message with this "
            "token (from a --json line). Default: begin with the events that are open now; "
            "a client that starts before the monitor misses nothing.",
        ),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Also print scores.")] = False,
    scores_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help=f"The monitor's scores address, default {DEFAULT_SCORES_ENDPOINT}. Implies --scores.",
        ),
    ] = None,
    history_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help=f"The monitor's history address. Default: the address that the monitor reports, "
            f"usually {DEFAULT_HISTORY_ENDPOINT}.",
        ),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this camera. Repeat the option for more cameras.")
    ] = None,
    health: Annotated[bool, typer.Option("--health", help="Also print changes of camera health.")] = False,
    as_json: AsJsonLines = False,
    save_evidence: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the pictures of the alerts in this folder.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with this client's keys, if the monitor requires keys.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after N messages.")] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="End after S seconds without a message.")
    ] = None,
) -> None:
    """Print the alerts of a monitor as they come: each exactly once; missed alerts are recovered."""
    if context.invoked_subcommand is not None:
        pass_on_options(context)
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
            heard, unread = subscriber.heard_before, subscriber.malformed
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # The reader has ended (``| head``). Without this, Python prints an error when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if not (received or (heard and not follow)):
        complain(safe(_nothing_came(endpoint, timeout or 0.0, heard=heard)))
        raise typer.Exit(1)
    if not (received or known):
        raise typer.Exit(1)  # the reason is already printed
    if unread and not follow:
        complain(
            f"{counted(unread, 'message')} could not be read and cannot be shown: the monitor's journal may be damaged"
        )
        raise typer.Exit(1)


@app.command("budget", short_help="Show each camera's alarms beside its budget of false alarms.")
def budget(
    endpoint: Endpoint = DEFAULT_ALERTS_ENDPOINT,
    history_endpoint: HistoryEndpoint = None,
    camera: OnlyCameras = None,
    keys: Keys = None,
    timeout: Timeout = CAUGHT_UP_WITHIN_S,
    as_json: AsJsonLines = False,
) -> None:
    """Show each camera's alarms per day in the last seven days watched, with the 95 % interval, beside the budget.

    Every alarm counts, because the monitor does not know which were real. Exit code: 0 if no promise is broken, 3 if
    one is, 1 if nothing came, 2 if an option is wrong.
    """
    latest: dict[str, Received] = {}
    try:
        with AlertSubscriber(
            endpoint,
            since=_BUDGET_SINCE,
            history_endpoint=history_endpoint,
            cameras=camera or None,
            alerts=False,
            budget=True,
            keys=keys,
            follow=False,
            timeout_s=timeout,
        ) as subscriber:
            for item in subscriber:
                if isinstance(item, Received) and isinstance(item.message, BudgetMessage):
                    latest[item.message.camera] = item
                elif isinstance(item, Received | Contact):
                    continue
                else:
                    complain(text_line(item))
            heard = subscriber.heard_before
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        return
    if not latest:
        complain(
            "the monitor has sent no figures yet: they come as soon as a camera is watched with a model"
            if heard
            else safe(_nothing_came(endpoint, timeout, heard=False))
        )
        raise typer.Exit(1)
    broken = False
    for name in sorted(latest):
        message = latest[name].message
        assert isinstance(message, BudgetMessage)
        broken = broken or message.broken
        _write_line(json_line(latest[name]) if as_json else safe(f"{name}  {budget_text(message)}"))
    if broken:
        raise typer.Exit(_BROKEN_PROMISE)


@app.command("day", short_help="Show the most unusual moments of a day, whether or not they alarmed.")
def day(
    date: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The day, by the cameras' clocks. Default: each camera's latest."),
    ] = None,
    endpoint: Endpoint = DEFAULT_ALERTS_ENDPOINT,
    history_endpoint: HistoryEndpoint = None,
    camera: OnlyCameras = None,
    keys: Keys = None,
    timeout: Timeout = CAUGHT_UP_WITHIN_S,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the pictures in this folder.")] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Show each camera's most unusual moments of a day, the most unusual first, and how rare they are.

    They need no alarm, so this works on the first day. Moments come minutes after they were found. Exit code: 0 if
    there are any, 1 if not, 2 if an option is wrong.
    """
    try:
        days = RankedDays(date)
        pictures = None if save is None else MomentPictures(save)
        with AlertSubscriber(
            endpoint,
            since=days.since,
            history_endpoint=history_endpoint,
            cameras=camera or None,
            alerts=False,
            moments=True,
            keys=keys,
            follow=False,
            timeout_s=timeout,
        ) as subscriber:
            for item in subscriber:
                if isinstance(item, Received) and isinstance(item.message, MomentMessage):
                    days.take(item.message, item.jpeg)
                elif not isinstance(item, Received | Contact):
                    complain(text_line(item))
            heard = subscriber.heard_before
        ranked = days.ranked()
        if pictures is not None:
            pictures.save(ranked)
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        return
    if not ranked:
        complain(safe(days.nothing(camera or []) if heard else _nothing_came(endpoint, timeout, heard=False)))
        raise typer.Exit(1)
    for line in (row.json_line() for row in ranked) if as_json else table_lines(ranked):
        _write_line(line)


@app.command("keys", short_help="Make keys for the monitor and for clients.")
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the keys.")],
    name: Annotated[str, typer.Option(help="Name of the client.")] = "client",
    control: Annotated[
        bool, typer.Option("--control", help="The client may also change things, not only read.")
    ] = False,
) -> None:
    """Make keys for a client, and for the monitor if DIR has none. Existing keys are never overwritten."""
    try:
        for file in make_keys(folder, name, control=control):
            typer.echo(f"wrote {cleaned(str(file))}")
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None
    typer.echo(
        cleaned_lines(
            f'\nMonitor: copy {folder}/monitor to its machine and set keys = "{folder}/monitor" under [publish].\n'
            f"Client:  copy {folder}/{name} to its machine and use --keys {folder}/{name}.\n"
            f"Another client: {client_command(f'keys {shlex.quote(str(folder))} --name NAME')}"
        )
    )


add_commands(app)
add_camera_commands(app)
add_place_commands(app)


def start() -> NoReturn:
    """Run the command line of this process: the installed command ``true-sight-client``, and this module."""
    prepare_streams()
    run_app(app)


if __name__ == "__main__":
    start()
