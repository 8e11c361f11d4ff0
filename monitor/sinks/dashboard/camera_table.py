"""The dashboard's camera table, one row per camera, and the lines below for text that does not fit a column."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from monitor.reports import CameraReport
from monitor.sinks.dashboard.style import (
    STATE_STYLES,
    age,
    is_wide,
    longest_name,
    plain_table,
    progress_bar,
    score_style,
    sparkline,
)
from monitor.states import LOST, CameraState
from monitor.text.durations import in_words
from monitor.text.outside import plain, safe
from monitor.text.wording import shortened


def camera_table(cameras: Sequence[CameraReport], width: int, rows: int) -> Table:
    """Draw at most ``rows`` cameras in ``width`` characters. Cameras that need attention come first."""
    shown = list(cameras)
    if len(shown) > rows:  # cameras that need attention come first
        shown = sorted(shown, key=lambda c: (not c.alarmed, c.state is CameraState.ONLINE, -_or_zero(c.score)))
        shown = shown[: rows - 1]
    wide = is_wide(width)
    table = plain_table()
    longest = longest_name(width)
    # A long detail must not shrink the names: they get their room first.
    room = min(longest, max((len(camera.name) for camera in shown), default=6))
    table.add_column("camera", no_wrap=True, overflow="ellipsis", min_width=max(6, room), max_width=longest)
    table.add_column("state", no_wrap=True, min_width=10)
    table.add_column("score", justify="right", no_wrap=True, min_width=5)
    table.add_column("thr", justify="right", no_wrap=True, min_width=4)
    spark_width = 60 if width >= 180 else 30 if width >= 140 else 12  # the detail column takes the rest
    table.add_column("last minute", no_wrap=True, min_width=spark_width)
    for column in ("fps in", "done", "age ms", "drop", "reconn" if wide else "rec"):
        table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
    if wide:
        table.add_column("alerts", justify="right", no_wrap=True, min_width=6)
        table.add_column("detail", no_wrap=True, overflow="ellipsis", ratio=1)
    for camera in shown:
        lost = camera.state in LOST
        state = Text(camera.state, STATE_STYLES[camera.state])
        if camera.alarmed:  # a lost camera shows its state; the alert list shows the open alert
            state = Text(camera.state, "bold red") if lost else Text("ALARM", "bold white on red")
        cells: list[str | Text | _Source] = [
            plain(shortened(camera.name, longest)),
            state,
            Text("-", "dim")
            if lost or math.isnan(camera.score)
            else Text(f"{camera.score:.2f}", score_style(camera.score)),
            "1.00",
            sparkline(camera.history, spark_width)
            if camera.state is not CameraState.LEARNING
            else progress_bar(camera.progress, spark_width),
            f"{camera.fps_in:.0f}",
            f"{camera.fps_analysed:.0f}",
            age(camera),
            Text(str(camera.dropped), "yellow" if camera.dropped else ""),
            Text(str(camera.reconnects), "yellow" if camera.reconnects else ""),
        ]
        if wide:
            why = camera.detail if lost else ""
            under_way = camera.progress.short if camera.progress is not None else ""
            told = why or under_way or camera.detail
            cells += [str(camera.events), plain(told) if told else _Source(safe(camera.source))]
        table.add_row(*cells)
    if len(shown) < len(cameras):
        table.add_row(Text(f"+ {len(cameras) - len(shown)} more", "dim"))
    return table


def why_lost(cameras: Sequence[CameraReport], width: int, rows: int) -> list[Text]:
    """Return at most ``rows`` lines with the reasons of lost cameras: an address and advice fit in no column."""
    found: list[str] = []
    for camera in cameras:
        if camera.state in LOST and camera.detail and len(found) < rows:
            name, left = shortened(camera.name, longest_name(width)), rows - len(found)
            text = safe(f"{name}: {camera.detail}")
            found += textwrap.wrap(text, max(3, width), subsequent_indent="  ", max_lines=left, placeholder="…")
    return [Text(line, "red", no_wrap=True, overflow="ellipsis") for line in found]


def foot(cameras: Sequence[CameraReport], width: int) -> Text:
    """Return the progress of learning, or the thresholds that need longer footage. A long line is cut at its end."""
    longest = longest_name(width)
    return plain(_under_way(cameras, longest) or _extrapolated(cameras, longest), cut=True)


def _under_way(cameras: Sequence[CameraReport], longest: int) -> str:
    """Progress of the first learning camera. The figures come first, because the end of the line may be cut."""
    learning = [(camera.name, camera.progress) for camera in cameras if camera.progress is not None]
    if not learning:
        return ""
    name, progress = learning[0]
    others = len(learning) - 1
    more = f", {others} more {'learns' if others == 1 else 'learn'}" if others else ""
    return f"{shortened(name, longest)}: {progress.how_far}{more}: {progress.text}"


def _extrapolated(cameras: Sequence[CameraReport], longest: int) -> str:
    """Name the thresholds that allow rarer false alarms than their footage can show; the shortest footage first."""
    short = sorted((camera.rests_on_s, camera.name) for camera in cameras if camera.rests_on_s is not None)
    if not short:
        return ""
    seconds, name = short[0]
    on, name = in_words(seconds), shortened(name, longest)
    if len(short) == 1:
        return f"threshold of {name} needs longer footage (only {on})"
    return f"{len(short)} thresholds need longer footage ({name}: only {on})"


def _or_zero(score: float) -> float:
    return 0.0 if math.isnan(score) else score


@dataclass(frozen=True, slots=True)
class _Source:
    """The source of a camera, shortened to the width of its column. The end stays, because it differs most."""

    label: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self.label, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, min(len(self.label), options.max_width)))
