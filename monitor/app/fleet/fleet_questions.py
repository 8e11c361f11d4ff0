"""What people ask of a fleet: the commands ``fleet status``, ``move``, ``drain``, ``undrain`` and ``evidence``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from monitor.app.fleet.fleet_addresses import parsed_address
from monitor.app.fleet.fleet_evidence import fetch_evidence
from monitor.app.fleet.fleet_options import HeadAt, Node, State, TokenFile, app, fleet_folder, told_errors
from monitor.app.fleet.fleet_words import status_json, status_lines
from monitor.client.client_options import Keys
from monitor.machines.evidence_fetcher import EvidenceFetcher
from monitor.machines.fleet_asking import FleetAsker
from monitor.machines.fleet_token import read_token
from monitor.settings import given_path
from monitor.text.outside import safe, safe_lines


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    head_at: HeadAt = "127.0.0.1",
    token_file: TokenFile = None,
    state: State = None,
) -> None:
    """Show nodes, cameras, and which node watches which camera.

    Exit codes: 0 shown, 1 the head is away or refuses the token, 2 wrong usage.
    """
    with _asking(head_at, token_file, state) as asker:
        found = asker.status()
    typer.echo(status_json(found) if as_json else safe_lines("\n".join(status_lines(found))))


@app.command()
def move(
    camera: Annotated[str, typer.Argument(metavar="CAMERA", help="Name of a camera.", show_default=False)],
    node: Node,
    head_at: HeadAt = "127.0.0.1",
    token_file: TokenFile = None,
    state: State = None,
) -> None:
    """Move a camera to a node. It is watched all the time; `fleet status` shows when it is there."""
    with _asking(head_at, token_file, state) as asker:
        asker.move(camera, node)
    typer.echo(safe(f"{camera} moves to {node}"))


@app.command()
def drain(
    node: Node,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NODE", help="The node that takes all its cameras. Default: any.")
    ] = None,
    head_at: HeadAt = "127.0.0.1",
    token_file: TokenFile = None,
    state: State = None,
) -> None:
    """Move all cameras of a node away, and give it no others until `fleet undrain`."""
    with _asking(head_at, token_file, state) as asker:
        asker.drain(node, to)
    typer.echo(safe(f"the cameras of {node} move away: `fleet status` shows when it has none"))


@app.command()
def undrain(node: Node, head_at: HeadAt = "127.0.0.1", token_file: TokenFile = None, state: State = None) -> None:
    """Let a node take cameras again."""
    with _asking(head_at, token_file, state) as asker:
        asker.undrain(node)
    typer.echo(safe(f"{node} takes cameras again"))


@app.command()
def evidence(
    to: Annotated[
        Path,
        typer.Option(
            parser=given_path, metavar="DIR", help="Folder for the files, the same as in a monitor.", show_default=False
        ),
    ],
    since: Annotated[
        str, typer.Option(metavar="AGE", help="Of alerts since then: an age such as 2h, or a time.")
    ] = "1d",
    camera: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this camera. Default: of all.")] = None,
    event: Annotated[str | None, typer.Option(metavar="ID", help="Only of this event, by its id.")] = None,
    connect: Annotated[
        str | None,
        typer.Option(metavar="ENDPOINT", help="Where the head sends alerts. Default: port 5560 of the head."),
    ] = None,
    keys: Keys = None,
    head_at: HeadAt = "127.0.0.1",
    token_file: TokenFile = None,
    state: State = None,
) -> None:
    """Fetch pictures and clips of alerts from the nodes that have them. What is in the folder already is not fetched.

    Exit codes: 0 all that is written was fetched, 1 a node or the head is away, 2 wrong usage.
    """
    with told_errors():
        address = parsed_address(head_at, "--head")
        token = read_token(token_file or fleet_folder(state) / "token")
        with EvidenceFetcher(address.store, token) as fetcher:
            alerts = connect or f"tcp://{address.host}:5560"
            found = fetch_evidence(fetcher, alerts, to, since=since, camera=camera, event=event, keys=keys)
        typer.echo(safe_lines("\n".join(found.lines)))
        if not found.complete:
            raise typer.Exit(1)


@contextmanager
def _asking(head_at: str, token_file: Path | None, state: Path | None) -> Iterator[FleetAsker]:
    with told_errors():
        address = parsed_address(head_at, "--head")
        token = read_token(token_file or fleet_folder(state) / "token")
        with FleetAsker(address.coordinator, token) as asker:
            yield asker
