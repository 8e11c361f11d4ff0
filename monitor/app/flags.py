"""Flags that several commands of the monitor share: their names, values, help texts, and the settings they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.settings import given_path

Model = Annotated[Path | None, typer.Option(metavar="DIR", help="Model folder for all cameras without their own.")]
Learn = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Learning time of a camera without a model: 90s, 10m, 2h. Default 10m."),
]
Relearn = Annotated[
    bool, typer.Option("--relearn", help="Learn all cameras without a model setting again. Older versions stay.")
]
State = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep models and the journal in this folder. Default: the user's state folder."),
]
Fps = Annotated[float | None, typer.Option(metavar="N", help="Frames per second of folders of images. Default 25.")]
AnalysisFps = Annotated[
    float | None,
    typer.Option(metavar="N", help="Frames analysed per second and camera; 0 = every frame. Default 10."),
]
FalseAlarmsPerDay = Annotated[
    float | None,
    typer.Option(metavar="N", help="False-alarm budget per camera and day; sets the threshold. Default 1."),
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="Device for networks: auto, cpu, cuda or cuda:N. Default auto.")
]
Engines = Annotated[
    str | None,
    typer.Option(metavar="N|auto", help="Processes that share the work of watching. Default: one per two cores."),
]
Alerts = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Address to publish alerts on. Default tcp://127.0.0.1:5560.")
]
Scores = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Address to publish scores on. Default tcp://127.0.0.1:5561.")
]
History = Annotated[
    str | None,
    typer.Option(metavar="ADDR", help="Address where clients request missed messages. Default tcp://127.0.0.1:5562."),
]
Control = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR|off", help="Address where clients ask for changes. Default: that of alerts, three ports higher."
    ),
]
Publish = Annotated[bool | None, typer.Option("--publish/--no-publish", help="Publish over ZeroMQ. Default on.")]
Journal = Annotated[
    bool | None, typer.Option("--journal/--no-journal", help="Store alerts in a file before sending. Default on.")
]
Evidence = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep pictures and a clip of every event in this folder. Default off."),
]
Metrics = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Serve Prometheus metrics, /livez and /readyz here. Default off."),
]
Web = Annotated[
    bool | None, typer.Option("--web/--no-web", help="Serve a page for browsers. Default: only with --demo.")
]
WebListen = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Serve the page here. Default 127.0.0.1:8088. Implies --web.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        parser=given_path,
        metavar="FILE",
        help="TOML file with cameras and settings; flags override it. SIGHUP reloads it in a run.",
    ),
]
RecordScores = Annotated[
    Path | None,
    typer.Option(parser=given_path, metavar="FILE", help="Write every score to this file as JSON lines."),
]
RecordAlerts = Annotated[
    Path | None,
    typer.Option(parser=given_path, metavar="FILE", help="Write every alert to this file as JSON lines."),
]

FLAGS_OF_SETTINGS = {
    "model": ("--model", ""),
    "state": ("--state", ""),
    "learning.duration_s": ("--learn", "s"),
    "playback.speed": ("--speed", ""),
    "playback.fps": ("--fps", "frames per second"),
    "analysis_fps": ("--analysis-fps", "frames per second"),
    "false_alarms_per_day": ("--false-alarms-per-day", ""),
    "device": ("--device", ""),
    "engines": ("--engines", ""),
    "publish.alerts": ("--alerts", ""),
    "publish.scores": ("--scores", ""),
    "publish.history": ("--history", ""),
    "publish.control": ("--control", ""),
    "evidence.folder": ("--evidence", ""),
    "metrics.listen": ("--metrics", ""),
    "web.listen": ("--web-listen", ""),
}
"""Setting -> its flag and the unit of the value; empty if there is no unit. Error sentences about flags need the unit,
because a flag's name does not contain it."""


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
    control: str | None,
    publish: bool | None,
    journal: bool | None,
    evidence: Path | None,
    metrics: str | None = None,
    web: bool | None = None,
    web_listen: str | None = None,
    state: Path | None = None,
    speed: float | str | None = None,
    loop: bool | None = None,
    learn_s: float | None = None,
    engines: int | str | None = None,
) -> dict[str, Any]:
    """Convert the flags of a command line (None: not given) to the overrides that ``load_config`` accepts.

    evidence  a folder; also switches evidence on
    speed     a factor, or ``max``
    """
    settings = {
        "model": model,
        "state": state,
        "learning.duration_s": learn_s,
        "playback.speed": speed,
        "playback.loop": loop,
        "playback.fps": fps,
        "analysis_fps": analysis_fps,
        "false_alarms_per_day": false_alarms_per_day,
        "device": device,
        "engines": engines,
        "publish.alerts": alerts,
        "publish.scores": scores,
        "publish.history": history,
        "publish.control": control,
        "publish.enabled": publish,
        "evidence.folder": evidence,
        "evidence.enabled": None if evidence is None else True,
        "journal.enabled": journal,
        "metrics.listen": metrics,
        "metrics.enabled": None if metrics is None else True,
        "web.listen": web_listen,
        "web.enabled": web if web is not None or web_listen is None else True,
    }
    return {key: value for key, value in settings.items() if value is not None}
