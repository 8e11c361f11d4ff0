"""The dashboard's camera table, one row per camera, and the lines below for text that does not fit a column."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
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

_CALM = (CameraState.ONLINE, CameraState.LEARNING, CameraState.CONNECTING, CameraState.ENDED)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its title, and its cells, which are as wide as they are drawn.

    keep  the column with the lowest value is left out first if the terminal is too narrow
    """

    title: str
    cells: Sequence[Text]
    keep: int
    right: bool = True

    @property
    def width(self) -> int:
        return max(len(self.title), *(cell.cell_len for cell in self.cells), 1)


def visible_cameras(cameras: Sequence[CameraReport], rows: int, selected: str | None = None) -> list[CameraReport]:
    """Return the cameras that fit in ``rows`` lines; the last line may be needed for "+ N more".

    In the order given if all fit, or around the selected one. Otherwise alarms come first, then cameras in need of
    attention, each in the order given: a row must not move only because a score did.
    """
    if len(cameras) <= rows:
        return list(cameras)
    room = max(1, rows - _has_more_line(rows))
    names = [camera.name for camera in cameras]
    if selected in names:
        first = min(max(0, names.index(selected) - room // 2), len(names) - room)
        return list(cameras[first : first + room])
    return sorted(cameras, key=_urgency)[:room]


def _has_more_line(rows: int) -> bool:
    return rows >= 3


def _urgency(camera: CameraReport) -> int:
    if camera.alarmed:
        return 0
    return 1 if camera.state not in _CALM else 2


def camera_table(cameras: Sequence[CameraReport], width: int, rows: int, selected: str | None = None) -> Group:
    """Draw at most ``rows`` cameras in ``width`` characters. See ``visible_cameras`` for which of them."""
    shown = visible_cameras(cameras, rows, selected)
    columns = _fitting(_columns(shown, width), width)
    table = plain_table()
    for column in columns:
        table.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=True, min_width=column.width
        )
    if is_wide(width):
        table.add_column("detail", no_wrap=True, overflow="ellipsis", ratio=1)
    for number, camera in enumerate(shown):
        cells: list[Text | _Source] = [column.cells[number] for column in columns]
        if is_wide(width):
            why = camera.detail if camera.state in LOST else ""
            under_way = camera.progress.short if camera.progress is not None else ""
            told = why or under_way or camera.detail
            cells.append(plain(told) if told else _Source(safe(camera.source)))
        table.add_row(*cells, style="reverse" if camera.name == selected else "")
    if len(shown) < len(cameras) and _has_more_line(rows):
        return Group(table, Text(_rest(cameras, shown), "dim", no_wrap=True, overflow="ellipsis"))
    return Group(table)


def _rest(cameras: Sequence[CameraReport], shown: Sequence[CameraReport]) -> str:
    """``+ 12 more: 1 ALARM, 2 offline, 9 online``."""
    names = {camera.name for camera in shown}
    states = Counter(_state(c).plain for c in sorted(cameras, key=_urgency) if c.name not in names)
    return f"+ {states.total()} more: {', '.join(f'{count} {state}' for state, count in states.items())}"


def _columns(shown: Sequence[CameraReport], width: int) -> list[_Column]:
    """All columns for these cameras, from left to right."""
    wide = is_wide(width)
    spark_width = 60 if width >= 180 else 30 if width >= 140 else 12  # the detail column takes the rest
    columns = [
        _Column("camera", [plain(shortened(camera.name, longest_name(width))) for camera in shown], 99, right=False),
        _Column("state", [_state(camera) for camera in shown], 98, right=False),
        _Column("score", [_score(camera) for camera in shown], 97),
        _Column("thr", [Text("1.00") for _ in shown], 0),
        _Column("last minute", [_last_minute(camera, spark_width) for camera in shown], 5, right=False),
        _Column("fps in", [Text(f"{camera.fps_in:.0f}") for camera in shown], 6),
        _Column("done", [Text(f"{camera.fps_analysed:.0f}") for camera in shown], 4),
        _Column("age ms", [Text(age(camera)) for camera in shown], 3),
        _Column("drop", [_count(camera.dropped) for camera in shown], 2),
        _Column("reconn" if wide else "rec", [_count(camera.reconnects) for camera in shown], 1),
    ]
    return [*columns, _Column("alerts", [Text(str(camera.events)) for camera in shown], 7)] if wide else columns


def _fitting(columns: Sequence[_Column], width: int) -> list[_Column]:
    """The columns that fit side by side, with a space between two of them. At least one column is left."""
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + 1 for column in kept) - 1 > width:
        kept.remove(min(kept, key=lambda column: column.keep))
    return kept


def _state(camera: CameraReport) -> Text:
    if not camera.alarmed:
        return Text(camera.state, STATE_STYLES[camera.state])
    # A lost camera shows its state; the alert list shows the open alert.
    return Text(camera.state, "bold red") if camera.state in LOST else Text("ALARM", "bold white on red")


def _score(camera: CameraReport) -> Text:
    if camera.state in LOST or math.isnan(camera.score):
        return Text("-", "dim")
    return Text(f"{camera.score:.2f}", score_style(camera.score))


def _last_minute(camera: CameraReport, width: int) -> Text:
    learning = camera.state is CameraState.LEARNING
    return progress_bar(camera.progress, width) if learning else sparkline(camera.history, width)


def _count(number: int) -> Text:
    return Text(str(number), "yellow" if number else "")


def why_lost(cameras: Sequence[CameraReport], width: int, rows: int) -> list[Text]:
    """Return at most ``rows`` lines with the reasons of cameras that are not watched: they fit in no column."""
    found: list[str] = []
    for camera in cameras:
        if camera.state in (*LOST, CameraState.UNSCORED) and camera.detail and len(found) < rows:
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


@dataclass(frozen=True, slots=True)
class _Source:
    """The source of a camera, shortened to the width of its column. The end stays, because it differs most."""

    label: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self.label, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, min(len(self.label), options.max_width)))
