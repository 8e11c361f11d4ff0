"""The live view: one row per camera, the last alerts, the last log lines.

The main thread draws it about four times per second on the terminal's alternate screen. On exit, the terminal shows
its earlier content again. The view needs at least 80x24 characters to be readable.
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

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.dashboard.alert_list import LastAlerts
from monitor.sinks.dashboard.camera_table import camera_table, foot, why_lost
from monitor.sinks.dashboard.style import clock, is_wide
from monitor.states import CameraState
from monitor.text.outside import plain, safe_lines
from monitor.text.wording import counted

log = logging.getLogger("monitor")

REFRESH_S = 0.25
_AFTER_CLOCK = " " * 9  # aligns with the text of a log line


@dataclass(frozen=True, slots=True)
class RunTitle:
    """The constant parts of the header: names for people."""

    node: str
    device: str
    model: str
    endpoint: str
    false_alarms_per_day: float


class Dashboard(Sink):
    """A context manager: the live view lasts as long as the context.

    note: called at each refresh; its text is an extra line in the header (the demo explains itself). None: no line.
    """

    def __init__(self, console: Console, title: RunTitle, note: Callable[[], str] | None = None) -> None:
        self._console = console
        self._title = title
        self._note = note
        self._alerts = LastAlerts()
        self._log = _LastLines(3)
        self._live = Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False)
        self._drawn_at = -math.inf

    @property
    def endpoint(self) -> str:
        """The alerts address in the header."""
        return self._title.endpoint

    def retitle(self, title: RunTitle) -> None:
        """Replace the header."""
        self._title = title

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._log)
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)
        logging.getLogger().removeHandler(self._log)

    def score(self, judgement: Judgement) -> None:
        """Raise the peak of an open event to the score."""
        self._alerts.raise_peak(judgement)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - only the event is drawn
        """Add the event to the list of the last alerts."""
        self._alerts.take(alert)

    def health(self, report: CameraReport) -> None:
        """Log why a source failed. It stays failed, and a narrow terminal has no column for the reason."""
        if report.state is CameraState.FAILED:
            log.error("%s: %s", report.name, report.detail)

    def tick(self, report: RunReport) -> None:
        """Draw the screen if the last refresh is old enough."""
        now = time.monotonic()
        if now - self._drawn_at >= REFRESH_S:
            self._drawn_at = now
            self._live.update(self.render(report, self._console.width, self._console.height), refresh=True)

    def render(self, report: RunReport, width: int, height: int) -> Group:
        """Return the whole screen for a terminal of ``width`` x ``height`` characters."""
        note = self._note() if self._note else ""
        header = self._header(report, width, note)
        header_rows = 3 + bool(note)
        log_rows = _log_rows(self._log.lines, width, 6 if height >= 30 else 4)
        free = height - header_rows - len(log_rows) - 6  # borders and column titles of two panels
        most = free - min(4, max(1, len(self._alerts)))  # leaves a minimum of rows for the last alerts
        lost = why_lost(report.cameras, width - 4, max(2, most - len(report.cameras)))
        camera_rows = max(1, min(len(report.cameras), most - len(lost)))
        alert_rows = max(1, free - camera_rows - len(lost))
        parts: list[Panel | Text] = [
            header,
            Panel(
                Group(camera_table(report.cameras, width - 4, camera_rows), *lost),
                title="cameras · score: 0 typical, below 0 calmer, 1.00 threshold",
                subtitle=foot(report.cameras, width - 4),
                border_style="blue",
            ),
            Panel(self._alerts.table(width - 4, alert_rows), title="last alerts", border_style="blue"),
        ]
        return Group(*parts, *log_rows)

    def _header(self, report: RunReport, width: int, note: str) -> Panel:
        title = self._title
        budget = f"{counted(title.false_alarms_per_day, 'false alarm')} per day"
        facts = [f"queue {report.queue_depth}", f"device {title.device}", f"1.00 = {budget}", f"model {title.model}"]
        if is_wide(width):
            facts += [f"alerts {title.endpoint}", f"node {title.node}"]
        line = plain(" · ".join(facts), cut=True)
        body = Group(line, plain(note, "bold", cut=True)) if note else line
        name = Text.assemble(("True Sight", "bold"), f" {clock(report.elapsed_s)}")
        return Panel(body, title=name, border_style="blue")

    def last_alerts(self, kept: str) -> Panel:
        """Return the last alerts, to print in the terminal after the live view has closed.

        kept: where all alerts are stored, in words; empty if they are not stored.
        """
        table = self._alerts.table(self._console.width - 4, 20)
        more = len(self._alerts) - table.row_count if isinstance(table, Table) else 0
        rest = [plain(f"+ {more} more{kept and f', in {kept}'}", "dim")] if more else []
        return Panel(Group(table, *rest), title="last alerts", border_style="blue")


class _LastLines(logging.Handler):
    """Keeps the last log lines, because the live view would cover them on the terminal."""

    def __init__(self, keep: int) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[tuple[int, str]] = deque(maxlen=keep)

    def emit(self, record: logging.LogRecord) -> None:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        self.lines.append((record.levelno, safe_lines(f"{clock} {record.getMessage()}")))


def _log_rows(lines: Sequence[tuple[int, str]], width: int, rows: int) -> list[Text]:
    """Wrap the last log lines, oldest first: as many complete lines as fit in ``rows``, and always the last line.

    A line that is too long itself loses its middle: its start names the camera, and its end says what to do.
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
