"""Flags that several commands of the monitor have in common: what each is called, takes and says in the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path | None, typer.Option(metavar="DIR", help="Model folder for all cameras that name none.")]
Learn = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="How long a camera without a model learns what is normal: 90s, 10m, 2h. Default 10m."
    ),
]
Fps = Annotated[float | None, typer.Option(metavar="N", help="Frames a second of folders of images. Default 25.")]
AnalysisFps = Annotated[
    float | None, typer.Option(metavar="N", help="Frames analysed a second and camera; 0 = every frame. Default 10.")
]
FalseAlarmsPerDay = Annotated[
    float | None, typer.Option(metavar="N", help="Budget a camera that sets the threshold. Default 1.")
]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N. Default auto.")]
Alerts = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Address to publish alerts on. Default tcp://127.0.0.1:5560.")
]
Scores = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Address to publish scores on. Default tcp://127.0.0.1:5561.")
]
History = Annotated[
    str | None,
    typer.Option(metavar="ADDR", help="Address where clients ask for what they missed. Default tcp://127.0.0.1:5562."),
]
Publish = Annotated[bool | None, typer.Option("--publish/--no-publish", help="Publish over ZeroMQ. Default on.")]
Journal = Annotated[
    bool | None, typer.Option("--journal/--no-journal", help="Keep alerts in a file before sending. Default on.")
]
Evidence = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep pictures and a clip of every event in this folder. Default off."),
]
RecordScores = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write every score to this file as JSON lines.")
]
RecordAlerts = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write every alert to this file as JSON lines.")
]
