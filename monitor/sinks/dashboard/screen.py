"""The live view: one row per camera, the last alerts, the last log lines.

The main thread draws it about four times per second on the terminal's alternate screen. On exit, the terminal shows
its earlier content again. The view is made for 80x24 characters or more; at 60x15 it shows less of everything.
"""

from __future__ import annotations

import logging
import math
import textwrap
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Self, TextIO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.alerts.messages import AlertMessage
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.dashboard.alert_list import LastAlerts
from monitor.sinks.dashboard.browser import Browser
from monitor.sinks.dashboard.camera_table import camera_table, foot, visible_cameras, why_lost
from monitor.sinks.dashboard.details import camera_facts, details, lines_needed
from monitor.sinks.dashboard.patient_terminal import PatientTerminal
from monitor.sinks.dashboard.pressed_keys import Keys
from monitor.sinks.dashboard.style import clock, is_wide
from monitor.sinks.dashboard.threshold_words import threshold_words
from monitor.states import CameraState
from monitor.text.outside import plain, safe, safe_lines

log = logging.getLogger("monitor")

REFRESH_S = 0.25
_SMALL = 20
"""Lines below which the header is one line without a frame."""
_HINT = "↑↓ select · Tab: other list · Enter: details · a: all seen"
_AFTER_CLOCK = " " * 9  # aligns with the text of a log line


@dataclass(frozen=True, slots=True)
class RunTitle:
    """The constant parts of the header: names for people. false_alarms_per_day: None if the cameras' budgets differ.

    page  URL of the page for browsers; empty if there is none
    """

    node: str
    device: str
    model: str
    endpoint: str
    false_alarms_per_day: float | None
    page: str = ""


class Dashboard(Sink):
    """A context manager: the live view lasts as long as the context.

    note: called at each refresh; its text is an extra line in the header (the demo explains itself). None: no line.
    keys: what the user presses; None: the view cannot be browsed
    """

    def __init__(
        self, console: Console, title: RunTitle, note: Callable[[], str] | None = None, keys: Keys | None = None
    ) -> None:
        self._console = console
        self._keys = keys
        self._browser = Browser()
        self._terminal: PatientTerminal | None = None
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
        with ExitStack() as stack:
            logging.getLogger().addHandler(self._log)
            stack.callback(logging.getLogger().removeHandler, self._log)
            if self._console.file.isatty():
                stack.callback(setattr, self._console, "file", self._console.file)
                self._terminal = stack.enter_context(PatientTerminal(cast(TextIO, self._console.file)))
                self._console.file = cast(IO[str], self._terminal)
            if self._keys is not None:
                stack.enter_context(self._keys)
            stack.enter_context(self._live)
            self._close = stack.pop_all().close
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def remember(self, messages: Sequence[AlertMessage]) -> None:
        """Show the events of earlier runs. messages: all their phases, oldest first."""
        self._alerts.remember(messages)

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
        """Draw the screen if the last refresh is old enough, and if the terminal has taken it."""
        now = time.monotonic()
        pressed = self._keys.pressed() if self._keys is not None else ()
        for key in pressed:
            if self._browser.press(key, [camera.name for camera in report.cameras], self._alerts.keys) == "seen":
                self._alerts.acknowledge()
        if self._terminal is not None and self._terminal.behind:
            self._terminal.catch_up()
        elif pressed or now - self._drawn_at >= REFRESH_S:
            self._drawn_at = now
            self._live.update(self.render(report, self._console.width, self._console.height), refresh=True)

    def render(self, report: RunReport, width: int, height: int) -> Group:
        """Return the whole screen for a terminal of ``width`` x ``height`` characters."""
        note = self._note() if self._note else ""
        browser, small = self._browser, height < _SMALL
        browser.forget([camera.name for camera in report.cameras], self._alerts.keys)
        header = self._line(report, note) if small else self._header(report, width, note)
        log_rows = _log_rows(self._log.lines, width, 6 if height >= 30 else 2 if small else 4)
        # Without borders and column titles of two panels.
        free = height - (1 if small else 3 + bool(note)) - len(log_rows) - 6
        facts = self._selected_facts(report)
        least = lines_needed(facts, width - 4) - 1 if facts else min(2 if small else 4, max(1, len(self._alerts.keys)))
        most = free - least  # leaves rows for the details or the last alerts
        lost = why_lost(report.cameras, width - 4, max(0 if small else 2, most - len(report.cameras)))
        camera_rows = max(1, min(len(report.cameras), most - len(lost)))
        alert_rows = max(1, free - camera_rows - len(lost))
        shown = len(visible_cameras(report.cameras, camera_rows, browser.camera))
        some = f"{shown} of {len(report.cameras)} " if shown < len(report.cameras) else ""
        scale = " · score: 0 typical, below 0 calmer, 1.00 threshold" if width >= 70 else ""
        parts: list[Panel | Text] = [
            header,
            Panel(
                Group(camera_table(report.cameras, width - 4, camera_rows, browser.camera), *lost),
                title=Text(f"{some}cameras{scale}"),
                subtitle=foot(report.cameras, width - 4),
                border_style="blue",
            ),
            self._lower(facts, width, alert_rows),
        ]
        return Group(*parts, *log_rows)

    def _selected_facts(self, report: RunReport) -> list[tuple[str, str]]:
        """The details of the selected row; empty if they are not shown."""
        browser = self._browser
        if not browser.details:
            return []
        if browser.alerts and browser.alert is not None:
            return self._alerts.facts(browser.alert)
        return next((camera_facts(camera) for camera in report.cameras if camera.name == browser.camera), [])

    def _lower(self, facts: Sequence[tuple[str, str]], width: int, rows: int) -> Panel:
        """The details of the selected row, or the last alerts."""
        hint = Text(_HINT if self._keys is not None and self._keys.active else "", "dim", overflow="ellipsis")
        if facts:
            title = "the selected alert" if self._browser.alerts else "the selected camera"
            body: Table | Text = details(facts, rows + 1)
        else:
            title = f"last alerts · {self._alerts.new} new" if self._alerts.new else "last alerts"
            body = self._alerts.table(width - 4, rows, self._browser.alert)
        height = rows + 3 if facts else None
        return Panel(body, title=Text(title), subtitle=hint, border_style="blue", height=height)

    def _facts(self, report: RunReport, width: int) -> list[str]:
        title = self._title
        threshold = threshold_words(report.cameras, title.false_alarms_per_day, time.time())
        facts = [f"queue {report.queue_depth}", f"device {title.device}", threshold, f"model {title.model}"]
        facts = [f"page {title.page}", *facts] if title.page else facts
        return [*facts, f"alerts {title.endpoint}", f"node {title.node}"] if is_wide(width) else facts

    def _line(self, report: RunReport, note: str) -> Text:
        """The header of a small terminal: one line. The note takes the place of the facts."""
        line = Text("True Sight", "bold", no_wrap=True, overflow="ellipsis")
        line.append(f" {clock(report.elapsed_s)} · {safe(note or ' · '.join(self._facts(report, 0)))}", "not bold")
        return line

    def _header(self, report: RunReport, width: int, note: str) -> Panel:
        line = plain(" · ".join(self._facts(report, width)), cut=True)
        body = Group(line, plain(note, "bold", cut=True)) if note else line
        name = Text.assemble(("True Sight", "bold"), f" {clock(report.elapsed_s)}")
        return Panel(body, title=name, border_style="blue")

    def last_alerts(self, kept: str) -> Panel:
        """Return the last alerts, to print in the terminal after the live view has closed.

        kept: where all alerts are stored, in words; empty if they are not stored.
        """
        table = self._alerts.table(self._console.width - 4, 20, earlier=False)
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
            dots = [f"{_AFTER_CLOCK}..."] if rows >= 4 else []
            last = rows - rows // 2
            wrapped = [*wrapped[: rows - last - len(dots)], *dots, *wrapped[-last:]]
        style = styles.get(level, "red")
        found = [*(Text(row, style, no_wrap=True, overflow="ellipsis") for row in wrapped), *found]
    return found
