"""The live terminal dashboard: a row a camera, the last alerts, the last log lines.

Drawn by the main thread, about four times a second, on the terminal's alternate screen; leaving it gives the terminal
back as it was. Reads well from 80x24 up.
"""

from __future__ import annotations

import logging
import math
import textwrap
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.camera_monitor import Alert, Judgement
from monitor.duration import in_words
from monitor.redact import redact
from monitor.sink import CameraReport, Progress, RunReport, Sink
from monitor.types import LOST, CameraState, Phase
from monitor.wording import counted, shortened

log = logging.getLogger("monitor")

REFRESH_S = 0.25
_AFTER_CLOCK = " " * 9  # under the text of a log line
BARS = "▁▂▃▄▅▆▇█"
BARS_TOP = 1.6
"""The score at which a sparkline's bar is full: the threshold (1) stands clearly below it."""

STATE_STYLES = {
    CameraState.CONNECTING: "yellow",
    CameraState.LEARNING: "cyan",
    CameraState.ONLINE: "green",
    CameraState.STALLED: "bold red",
    CameraState.OFFLINE: "bold red",
    CameraState.FROZEN: "bold yellow",
    CameraState.DARK: "bold yellow",
    CameraState.MISFIT: "bold red",
    CameraState.SCENE_CHANGE: "bold yellow",
    CameraState.MOVED: "bold magenta",
    CameraState.DEFOCUSED: "bold magenta",
    CameraState.FLIPPED: "bold cyan",
    CameraState.NOISY: "cyan",
    CameraState.DRIFTED: "cyan",
    CameraState.OVERLOADED: "bold yellow",
    CameraState.FAILED: "bold red",
    CameraState.ENDED: "dim",
}


@dataclass(frozen=True, slots=True)
class RunTitle:
    """What the header says and does not change: names for people."""

    node: str
    device: str
    model: str
    endpoint: str
    false_alarms_per_day: float


@dataclass(slots=True)
class _AlertRow:
    at: float
    camera: str
    peak: float
    started_s: float
    ended_s: float | None
    why: str
    notify: bool


class _LastLines(logging.Handler):
    """Keeps the last log lines: under a live view they would be drawn over."""

    def __init__(self, keep: int) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[tuple[int, str]] = deque(maxlen=keep)

    def emit(self, record: logging.LogRecord) -> None:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        self.lines.append((record.levelno, redact(f"{clock} {record.getMessage()}")))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a camera's frames come from, cut to the room that its column has: the end of it is what tells it apart."""

    label: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self.label, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, min(len(self.label), options.max_width)))


class Dashboard(Sink):
    """A context manager: the live view lasts as long as the context.

    note: called at each drawing for a line of its own under the header (the demo says what is going on), or None.
    """

    def __init__(self, console: Console, title: RunTitle, note: Callable[[], str] | None = None) -> None:
        self._console = console
        self._title = title
        self._note = note
        self._alerts: dict[tuple[str, int], _AlertRow] = {}
        self._open: dict[str, _AlertRow] = {}
        self._log = _LastLines(3)
        self._live = Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False)
        self._drawn_at = -math.inf

    @property
    def endpoint(self) -> str:
        """Where alerts are published, as the header says."""
        return self._title.endpoint

    def retitle(self, title: RunTitle) -> None:
        """Say something else in the header from now on."""
        self._title = title

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._log)
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)
        logging.getLogger().removeHandler(self._log)

    def score(self, judgement: Judgement) -> None:
        """Raise the peak of the camera's open event: between its messages the row would stand below the score."""
        row = self._open.get(judgement.scored.frame.camera)
        if row is not None and judgement.score > row.peak:
            row.peak = judgement.score

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - drawn from the event alone
        """Remember the event for the list of the last alerts."""
        event = alert.event
        why = str(alert.reasons[0]) if alert.reasons else ""
        key = (alert.camera, event.number)
        if event.phase is not Phase.START and key in self._alerts:
            why = self._alerts[key].why or why
        row = _AlertRow(
            alert.started_at, alert.camera, event.peak_score, event.started_s, event.ended_s, why, event.notify
        )
        self._alerts[key] = row
        if event.ended_s is None:
            self._open[alert.camera] = row
        else:
            self._open.pop(alert.camera, None)
        while len(self._alerts) > 100:
            del self._alerts[next(iter(self._alerts))]

    def health(self, report: CameraReport) -> None:
        """A source that failed stays so: why is not left to a column that a narrow terminal has no room for."""
        if report.state is CameraState.FAILED:
            log.error("%s: %s", report.name, report.detail)

    def tick(self, report: RunReport) -> None:
        """Draw, if the last drawing is old enough."""
        now = time.monotonic()
        if now - self._drawn_at >= REFRESH_S:
            self._drawn_at = now
            self._live.update(self.render(report, self._console.width, self._console.height), refresh=True)

    def render(self, report: RunReport, width: int, height: int) -> Group:
        """The whole screen for a terminal of ``width`` x ``height`` characters."""
        note = self._note() if self._note else ""
        header = self._header(report, width, note)
        header_rows = 3 + bool(note)
        log_rows = _log_rows(self._log.lines, width, 6 if height >= 30 else 4)
        free = height - header_rows - len(log_rows) - 6  # two panels' borders and column titles
        camera_rows = max(1, min(len(report.cameras), free - min(4, max(1, len(self._alerts)))))
        alert_rows = max(1, free - camera_rows)
        parts: list[Panel | Text] = [
            header,
            Panel(
                self._cameras(report.cameras, width - 4, camera_rows),
                title="cameras · score: 0 typical, below 0 calmer, 1.00 alarms",
                subtitle=_foot(report.cameras, width - 4),
                border_style="blue",
            ),
            Panel(self._alert_table(width - 4, alert_rows), title="last alerts", border_style="blue"),
        ]
        return Group(*parts, *log_rows)

    def _header(self, report: RunReport, width: int, note: str) -> Panel:
        title = self._title
        budget = f"{counted(title.false_alarms_per_day, 'false alarm')} a day"
        facts = [f"queue {report.queue_depth}", f"device {title.device}", f"1.00 = {budget}", f"model {title.model}"]
        if _is_wide(width):
            facts += [f"alerts {title.endpoint}", f"node {title.node}"]
        line = Text(" · ".join(facts), no_wrap=True, overflow="ellipsis")
        body = Group(line, Text(note, "bold", no_wrap=True, overflow="ellipsis")) if note else line
        return Panel(body, title=f"[bold]True Sight[/] {_clock(report.elapsed_s)}", border_style="blue")

    def _cameras(self, cameras: Sequence[CameraReport], width: int, rows: int) -> Table:
        shown = list(cameras)
        if len(shown) > rows:  # those that need to be looked at first
            shown = sorted(shown, key=lambda c: (not c.alarmed, c.state is CameraState.ONLINE, -_or_zero(c.score)))
            shown = shown[: rows - 1]
        wide = _is_wide(width)
        table = _table()
        longest = _longest_name(width)
        # A long detail must not squeeze the names: they get their room first.
        room = min(longest, max((len(camera.name) for camera in shown), default=6))
        table.add_column("camera", no_wrap=True, overflow="ellipsis", min_width=max(6, room), max_width=longest)
        table.add_column("state", no_wrap=True, min_width=10)
        table.add_column("score", justify="right", no_wrap=True, min_width=5)
        table.add_column("thr", justify="right", no_wrap=True, min_width=4)
        spark_width = 60 if width >= 180 else 30 if width >= 140 else 12  # the rest is for the detail
        table.add_column("last minute", no_wrap=True, min_width=spark_width)
        for column in ("fps in", "done", "age ms", "drop", "reconn" if wide else "rec"):
            table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
        if wide:
            table.add_column("alerts", justify="right", no_wrap=True, min_width=6)
            table.add_column("detail", no_wrap=True, overflow="ellipsis", ratio=1)
        for camera in shown:
            lost = camera.state in LOST
            state = Text(camera.state, _style(camera.state))
            if camera.alarmed:  # of a camera that is lost, that is known no more; the list says that the alert is open
                state = Text(camera.state, "bold red") if lost else Text("ALARM", "bold white on red")
            cells: list[str | Text | _Source] = [
                shortened(camera.name, longest),
                state,
                Text("-", "dim")
                if lost or math.isnan(camera.score)
                else Text(f"{camera.score:.2f}", _score_style(camera.score)),
                "1.00",
                sparkline(camera.history, spark_width)
                if camera.state is not CameraState.LEARNING
                else progress_bar(camera.progress, spark_width),
                f"{camera.fps_in:.0f}",
                f"{camera.fps_analysed:.0f}",
                _age(camera),
                Text(str(camera.dropped), "yellow" if camera.dropped else ""),
                Text(str(camera.reconnects), "yellow" if camera.reconnects else ""),
            ]
            if wide:
                why = camera.detail if lost else ""
                under_way = camera.progress.short if camera.progress is not None else ""
                cells += [str(camera.events), why or under_way or camera.detail or _Source(camera.source)]
            table.add_row(*cells)
        if len(shown) < len(cameras):
            table.add_row(Text(f"+ {len(cameras) - len(shown)} more", "dim"))
        return table

    def last_alerts(self) -> Panel:
        """What was alerted last, for the terminal after the live view is gone."""
        return Panel(self._alert_table(self._console.width - 4, 20), title="last alerts", border_style="blue")

    def _alert_table(self, width: int, rows: int) -> Table | Text:
        if not self._alerts:
            return Text("none yet", "dim")
        last = list(self._alerts.values())[-rows:]
        longest = _longest_name(width)
        names = {row.camera: shortened(row.camera, longest) for row in last}
        widths = {
            "time": 8,
            "camera": max(6, *map(len, names.values())),
            "peak": max(4, *(len(f"{row.peak:.2f}") for row in last)),
            "lasted": max(6, *(len(_lasted(row)) for row in last)),
        }
        table = _table()
        for name, own in widths.items():
            table.add_column(name, no_wrap=True, width=own, justify="right" if name in ("peak", "lasted") else "left")
        table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
        room, spare = width - sum(widths.values()) - len(widths), rows - len(last)
        for row in reversed(last):  # the latest first, with all that there is to say as long as there are rows for it
            clock = datetime.fromtimestamp(row.at).strftime("%H:%M:%S")
            lasted = Text(_lasted(row), "bold red" if row.ended_s is None and row.notify else "")
            why = textwrap.wrap(row.why, max(1, room))
            more = min(spare, max(0, len(why) - 1))
            spare -= more
            why = [*why[:more], " ".join(why[more:])]
            style = "" if row.notify else "dim"
            table.add_row(clock, names[row.camera], f"{row.peak:.2f}", lasted, "\n".join(why), style=style)
        return table


def _lasted(row: _AlertRow) -> str:
    lasted = "open" if row.ended_s is None else f"{row.ended_s - row.started_s:.1f} s"
    return lasted if row.notify else f"quiet {lasted}"


def summary(report: RunReport) -> Group:
    """What remains on the terminal when the run is over."""
    table = Table(
        title=f"True Sight ran for {_clock(report.elapsed_s)}", title_justify="left", box=None, pad_edge=False
    )
    for column in ("camera", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("frames", "analysed", "dropped", "age p50/p99", "reconnects", "alerts"):
        table.add_column(column, justify="right", no_wrap=True)
    for camera in report.cameras:
        table.add_row(
            camera.name,
            Text(camera.state, _style(camera.state)),
            str(camera.frames_in),
            str(camera.analysed),
            str(camera.dropped),
            f"{_age(camera)} ms",
            str(camera.reconnects),
            str(camera.events),
        )
    holes = [
        Text(
            f"{camera.name}: {counted(camera.missing, 'frame')} missing in the numbering, "
            f"{camera.unreadable} unreadable"
        )
        for camera in report.cameras
        if camera.missing or camera.unreadable
    ]
    return Group(table, *holes)


def _age(camera: CameraReport) -> str:
    """p50/p99 of the age of a frame when it is scored, in ms."""
    if camera.age_p50_s is None or camera.age_p99_s is None:
        return "-"
    return f"{camera.age_p50_s * 1e3:.0f}/{camera.age_p99_s * 1e3:.0f}"


def _log_rows(lines: Sequence[tuple[int, str]], width: int, rows: int) -> list[Text]:
    """The last log lines, wrapped, oldest first: as many as fit whole in so many rows, and the last in any case.

    Of one that is too long itself the middle is left out: it begins with whom it concerns and ends with what to do.
    """
    styles = {logging.INFO: "dim", logging.WARNING: "yellow"}
    found: list[Text] = []
    for level, line in reversed(lines):
        wrapped = textwrap.wrap(line, width, subsequent_indent=_AFTER_CLOCK)
        if found and len(found) + len(wrapped) > rows:
            break
        if len(wrapped) > rows:
            wrapped = [*wrapped[: rows // 2 - 1], f"{_AFTER_CLOCK}...", *wrapped[-(rows - rows // 2) :]]
        style = styles.get(level, "red")
        found = [*(Text(row, style, no_wrap=True, overflow="ellipsis") for row in wrapped), *found]
    return found


def _foot(cameras: Sequence[CameraReport], width: int) -> Text:
    """The most important of what the columns have too little room for; of one that is too long the end is cut."""
    longest = _longest_name(width)
    found = _under_way(cameras, longest) or _first_lost(cameras, longest) or _extrapolated(cameras, longest)
    return Text(found, no_wrap=True, overflow="ellipsis")


def _under_way(cameras: Sequence[CameraReport], longest: int) -> str:
    """What the first of the cameras that learn is doing: how far it is before what, which may be cut."""
    learning = [(camera.name, camera.progress) for camera in cameras if camera.progress is not None]
    if not learning:
        return ""
    name, progress = learning[0]
    others = len(learning) - 1
    more = f", {others} more {'learns' if others == 1 else 'learn'}" if others else ""
    return f"{shortened(name, longest)}: {progress.how_far}{more}: {progress.text}"


def _first_lost(cameras: Sequence[CameraReport], longest: int) -> str:
    """Why the first of the cameras is lost that can say why."""
    lost = next((camera for camera in cameras if camera.state in LOST and camera.detail), None)
    return "" if lost is None else f"{shortened(lost.name, longest)}: {lost.detail}"


def _extrapolated(cameras: Sequence[CameraReport], longest: int) -> str:
    """Which threshold stands for rarer false alarms than the footage learned shows, the shortest first; what helps."""
    short = sorted((camera.rests_on_s, camera.name) for camera in cameras if camera.rests_on_s is not None)
    if not short:
        return ""
    seconds, name = short[0]
    on, name = in_words(seconds), shortened(name, longest)
    if len(short) == 1:
        return f"threshold of {name} rests on {on}: longer footage makes it surer"
    return f"{len(short)} thresholds rest on little ({name}: {on}): longer footage helps"


def _is_wide(width: int) -> bool:
    return width >= 110


def _longest_name(width: int) -> int:
    return 24 if _is_wide(width) else 11


def progress_bar(progress: Progress | None, width: int) -> Text:
    """How far a camera is with learning, as a bar with its share of the whole."""
    fraction = 0.0 if progress is None else min(max(progress.fraction, 0.0), 1.0)
    room = width - 5
    done = int(fraction * room)
    return Text("━" * done, "cyan").append("─" * (room - done), "dim").append(f" {100 * fraction:3.0f}%")


def sparkline(history: Sequence[float | None], width: int) -> Text:
    """Scores as bars, the last on the right; red from the threshold up, a dot where there was none."""
    if not history:
        return Text("·" * width, "dim")
    per_bar = -(-60 // width)  # one minute over the width
    padded = [None] * (-len(history) % per_bar) + list(history)
    text = Text()
    groups = [padded[i : i + per_bar] for i in range(0, len(padded), per_bar)][-width:]
    text.append("·" * (width - len(groups)), "dim")
    for group in groups:
        known = [value for value in group if value is not None]
        if not known:
            text.append("·", "dim")
            continue
        score = max(known)
        level = int(max(0.0, min(score / BARS_TOP, 0.999)) * len(BARS))
        text.append(BARS[level], _score_style(score))
    return text


def _table() -> Table:
    return Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style="dim")


def _style(state: CameraState) -> str:
    return STATE_STYLES[state]


def _score_style(score: float) -> str:
    return "bold red" if score >= 1 else "yellow" if score >= 0.8 else "green"


def _or_zero(score: float) -> float:
    return 0.0 if math.isnan(score) else score


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
