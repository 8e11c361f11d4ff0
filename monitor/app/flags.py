"""Flags that several commands of the monitor have in common: what each is called, takes, says in the help and sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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

FLAGS_OF_SETTINGS = {
    "model": ("--model", ""),
    "learning.duration_s": ("--learn", "s"),
    "playback.speed": ("--speed", ""),
    "playback.fps": ("--fps", "frames a second"),
    "analysis_fps": ("--analysis-fps", "frames a second"),
    "false_alarms_per_day": ("--false-alarms-per-day", ""),
    "device": ("--device", ""),
    "publish.alerts": ("--alerts", ""),
    "publish.scores": ("--scores", ""),
    "publish.history": ("--history", ""),
    "evidence.folder": ("--evidence", ""),
}
"""The flags of settings, and the unit that a flag's name does not tell as the setting's does."""


def given_flags(
    *,
    model: Path | None,
    fps: float | None,
    analysis_fps: float | None,
    false_alarms_per_day: float | None,
    device: str | None,
    alerts: str | None,
    scores: str | None,
    history: str | None,
    publish: bool | None,
    journal: bool | None,
    evidence: Path | None,
    speed: float | str | None = None,
    loop: bool | None = None,
    learn_s: float | None = None,
) -> dict[str, Any]:
    """Flags of a command line (None: not given) as the overrides that ``load_config`` takes.

    evidence: a folder, which also switches evidence on; speed: a factor, or ``max``
    """
    settings = {
        "model": model,
        "learning.duration_s": learn_s,
        "playback.speed": speed,
        "playback.loop": loop,
        "playback.fps": fps,
        "analysis_fps": analysis_fps,
        "false_alarms_per_day": false_alarms_per_day,
        "device": device,
        "publish.alerts": alerts,
        "publish.scores": scores,
        "publish.history": history,
        "publish.enabled": publish,
        "evidence.folder": evidence,
        "evidence.enabled": None if evidence is None else True,
        "journal.enabled": journal,
    }
    return {key: value for key, value in settings.items() if value is not None}
