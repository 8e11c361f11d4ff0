"""What all commands of a fleet share: the command line, options, and how errors become exit codes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from monitor.app.fleet.said_error import SaidError
from monitor.errors import MonitorError
from monitor.settings import given_path
from monitor.state_folder import state_folder
from monitor.text.command_line import say_error

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    help="Several machines as one monitor: one head, and nodes that watch its cameras.",
)

TokenFile = Annotated[
    Path | None,
    typer.Option(
        parser=given_path,
        metavar="FILE",
        help="Token of the fleet. Default: fleet/token in the state folder, as the head makes it.",
    ),
]
State = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep all state in this folder. Default: the user's state folder."),
]
HeadAt = Annotated[
    str, typer.Option("--head", metavar="HOST[:PORT]", help="The head of the fleet. Default: on this machine.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print more log lines.")]
Node = Annotated[str, typer.Argument(metavar="NODE", help="Name of a node.", show_default=False)]


@contextmanager
def told_errors() -> Iterator[None]:
    """An error becomes its sentence and its exit code."""
    try:
        yield
    except SaidError as error:
        raise typer.Exit(error.code) from None
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None


def fleet_folder(state: Path | None) -> Path:
    """Where a fleet keeps what it needs, as a whole path."""
    return Path(os.path.abspath(state_folder(state).folder / "fleet"))  # noqa: PTH100 - a link of the user's stays one
