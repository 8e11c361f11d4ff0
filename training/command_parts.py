"""What several commands of training share: options, packages that are not installed, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from monitor.errors import UsageError
from monitor.settings import given_path
from monitor.text.commands import python_command
from training.progress import Report
from training.stopping import STOPPED

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
AnalysisFps = Annotated[
    float,
    typer.Option(min=0, max=1000, metavar="N", help="Frames analysed per second, as in a live run; 0 = every frame."),
]
Models = Annotated[
    Path | None,
    typer.Option(
        parser=given_path, metavar="DIR", help="Folder of all models. Default: where the monitor looks for them."
    ),
]


@contextmanager
def needs(module: str, package: str, what: str) -> Iterator[None]:
    """Turn an import that fails because the package is not installed into a UsageError that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise UsageError(f"{what} needs {package}: run `{python_command(f'-m pip install {package}')}`") from None


@contextmanager
def stoppable(report: Report, stopped: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C (or SIGTERM), end the command with the sentence of ``stopped`` and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        report.say(stopped())
        raise typer.Exit(STOPPED) from None
