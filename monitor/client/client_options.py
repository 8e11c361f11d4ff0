"""The options that several of the client's commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.client.forget_request import WITHOUT_TIMES
from monitor.text.wording import joined

Endpoint = Annotated[str, typer.Option(metavar="ADDR", help="The monitor's alerts address.")]
ControlEndpoint = Annotated[
    str | None, typer.Option(metavar="ADDR", help="The monitor's control address. Default: as the monitor reports.")
]
HistoryEndpoint = Annotated[
    str | None, typer.Option(metavar="ADDR", help="The monitor's history address. Default: as the monitor reports.")
]
Keys = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with this client's keys.")]
Timeout = Annotated[float, typer.Option(metavar="S", min=0, help="Wait this many seconds for the monitor.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
OnlyCameras = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this camera. Repeat for more.")]

Camera = Annotated[str, typer.Argument(metavar="CAMERA", help="The camera.")]

Begin = Annotated[
    str | None, typer.Option("--from", metavar="AGE|TIME", help="Only from this time on: 2h, 7d, 2026-03-02T14:00.")
]
End = Annotated[str | None, typer.Option("--to", metavar="AGE|TIME", help="Only up to this time.")]
Everything = Annotated[bool, typer.Option("--all", help="All times.")]
What = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND", help=f"One of {joined(WITHOUT_TIMES)}; repeat it. Default: all."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Delete. Without it, only say what would be deleted.")]
