"""The summary that stays on the terminal after the run."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from monitor.promise import watched_words
from monitor.reports import CameraReport, RunReport
from monitor.sinks.dashboard.style import STATE_STYLES, age, clock
from monitor.text.outside import plain
from monitor.text.wording import counted, shortened

_FIGURES = 69
"""Width of all columns except the names, in characters."""


def summary(report: RunReport, width: int) -> Group:
    """Return one row per camera in ``width`` characters, then what was not watched or judged."""
    room = max(8, width - _FIGURES)
    table = Table(
        title=f"True Sight ran for {clock(report.elapsed_s)}",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in ("camera", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("frames", "analysed", "dropped", "age p50/p99", "reconnects", "alerts"):
        table.add_column(column, justify="right", no_wrap=True)
    for camera in report.cameras:
        table.add_row(
            plain(shortened(camera.name, room)),
            Text(camera.state, STATE_STYLES[camera.state]),
            str(camera.frames_in),
            str(camera.analysed),
            str(camera.dropped),
            f"{age(camera)} ms",
            str(camera.reconnects),
            str(camera.events),
        )
    holes = [
        plain(
            f"{camera.name}: {counted(camera.missing, 'frame')} missing in the frame numbers, "
            f"{camera.unreadable} unreadable"
        )
        for camera in report.cameras
        if camera.missing or camera.unreadable
    ]
    blind = [
        plain(f"{camera.name}: {watched_words(promise.counted_s, promise.counted_blind_s)}")
        for camera in report.cameras
        if (promise := camera.promise) is not None and promise.counted_blind_s > 0
    ]
    unjudged = [
        plain(
            f"{camera.name}: {counted(camera.to_judge - camera.judged, 'frame')} of {camera.to_judge} "
            f"({_share(camera)}) not judged, most of them because: {camera.unjudged}"
        )
        for camera in report.cameras
        if camera.judged < camera.to_judge
    ]
    return Group(table, *holes, *blind, *unjudged)


def _share(camera: CameraReport) -> str:
    share = 100 * (camera.to_judge - camera.judged) / camera.to_judge
    return f"{share:.0f} %" if share >= 1 else "below 1 %"
