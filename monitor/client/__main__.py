"""``python -m monitor.client``: print a monitor's alerts in a terminal or as JSON lines."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from monitor.client.lines import json_line, text_line
from monitor.client.subscriber import AlertSubscriber, Gap, Received
from monitor.errors import ConfigError
from monitor.messages import (
    DEFAULT_ALERTS_ENDPOINT,
    DEFAULT_SCORES_ENDPOINT,
)


def _print_items(subscriber: AlertSubscriber, write: Callable[[str], object], as_json: bool, count: int | None) -> int:
    """Print until ``count`` messages have come, or for ever; returns how many came."""
    received = 0
    for item in subscriber:
        if isinstance(item, Received):
            received += 1
            write(json_line(item) if as_json else text_line(item))
        elif isinstance(item, Gap) and as_json:
            write(json_line(item))
        else:
            typer.echo(text_line(item), err=True)
        if count is not None and received >= count:
            break
    return received


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    endpoint: Annotated[str, typer.Option(help="The monitor's alerts address.")] = DEFAULT_ALERTS_ENDPOINT,
    scores: Annotated[bool, typer.Option("--scores", help="Print scores too.")] = False,
    scores_endpoint: Annotated[
        str | None,
        typer.Option(help=f"The monitor's scores address, if not {DEFAULT_SCORES_ENDPOINT}. Implies --scores."),
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be given several times.")] = None,
    health: Annotated[bool, typer.Option("--health", help="Print changes of the cameras' health too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="End after so many seconds without a message.")] = None,
) -> None:
    """Print a monitor's alerts as they come. Ends with 1 if --timeout passed and nothing had come."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if scores and scores_endpoint is None:
        scores_endpoint = DEFAULT_SCORES_ENDPOINT
    try:
        with AlertSubscriber(
            endpoint, scores_endpoint=scores_endpoint, cameras=camera or None, health=health, timeout_s=timeout
        ) as subscriber:
            received = _print_items(subscriber, _write_line, as_json, count)
    except ConfigError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read has gone (``| head``); without this, Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if not received:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
