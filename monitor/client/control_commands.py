"""The client's commands that talk to the control socket: ``ping``, and what others add."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.alerts.control import ControlReply, ControlRequest, Ping
from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT
from monitor.client.controller import ANSWER_S, Controller
from monitor.errors import MonitorError
from monitor.text.command_line import say_error
from monitor.text.outside import safe
from monitor.text.wrapping import complain

Endpoint = Annotated[str, typer.Option(metavar="ADDR", help="The monitor's alerts address.")]
ControlEndpoint = Annotated[
    str | None, typer.Option(metavar="ADDR", help="The monitor's control address. Default: as the monitor reports.")
]
Keys = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with this client's keys.")]
Timeout = Annotated[float, typer.Option(metavar="S", min=0, help="Wait this many seconds for the monitor.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@contextmanager
def controlling(endpoint: str, control: str | None, keys: Path | None, timeout_s: float) -> Iterator[Controller]:
    """A connection to the monitor. Errors become one sentence and an exit code."""
    try:
        with Controller(endpoint, control, keys=keys, timeout_s=timeout_s) as controller:
            yield controller
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def asked(controller: Controller, request: ControlRequest, *, as_json: bool = False) -> ControlReply:
    """Ask, and print what the monitor says. Ends the command with exit code 1 if it refuses."""
    reply = controller.ask(request)
    if as_json:
        print_line(json.dumps({"reply": reply.reply, "said": reply.said, **reply.data}))
    elif reply.reply == "ok":
        print_line(safe(reply.said))
    if reply.reply != "ok":
        if not as_json:
            complain(safe(f"error: {reply.said}"))
        raise typer.Exit(1)
    return reply


def print_line(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def ping(
    endpoint: Endpoint = DEFAULT_ALERTS_ENDPOINT,
    control_endpoint: ControlEndpoint = None,
    keys: Keys = None,
    timeout: Timeout = ANSWER_S,
    as_json: AsJson = False,
) -> None:
    """Check that the monitor takes requests, and say what this client may do.

    Exit code: 0 if it answers, 1 if not, 2 if an option is wrong.
    """
    with controlling(endpoint, control_endpoint, keys, timeout) as controller:
        asked(controller, Ping(), as_json=as_json)


def add_commands(app: typer.Typer) -> None:
    """Add these commands to the client's command line."""
    helped: dict[str, Any] = {"ping": (ping, "Check that the monitor takes requests.")}
    for name, (command, words) in helped.items():
        app.command(name, short_help=words)(command)
