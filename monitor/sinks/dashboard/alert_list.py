"""The dashboard's list of the last alerts."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import datetime

from rich.table import Table
from rich.text import Text

from monitor.judging.camera_monitor import Alert, Judgement
from monitor.sinks.dashboard.style import longest_name, plain_table
from monitor.states import Phase
from monitor.text.durations import place
from monitor.text.outside import plain, safe
from monitor.text.wording import shortened

_KEPT = 100


@dataclass(slots=True)
class _Row:
    at: float
    camera: str
    peak: float
    started_s: float
    ended_s: float | None
    why: str
    notify: bool
    media_s: float | None

    @property
    def place(self) -> str:
        """Where the event began in its file; empty for a live camera."""
        return "" if self.media_s is None else place(self.media_s)

    @property
    def lasted(self) -> str:
        """Duration of the event, or ``open`` while it continues."""
        lasted = "open" if self.ended_s is None else f"{self.ended_s - self.started_s:.1f} s"
        return lasted if self.notify else f"quiet {lasted}"


class LastAlerts:
    """Keeps the last events, one row each, and draws them as a table."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], _Row] = {}
        self._open: dict[str, _Row] = {}
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._rows) + self._forgotten

    def take(self, alert: Alert) -> None:
        """Record the start, an update or the end of an event."""
        event = alert.event
        why = str(alert.reasons[0]) if alert.reasons else ""
        key = (alert.camera, event.number)
        if key in self._rows and (event.phase is Phase.UPDATE or not why):
            why = self._rows[key].why  # an update gives the reason of the present score, the row that of the peak
        times = event.started_s, event.ended_s
        row = _Row(alert.started_at, alert.camera, event.peak_score, *times, why, event.notify, alert.media_s)
        self._rows[key] = row
        if event.ended_s is None:
            self._open[alert.camera] = row
        else:
            self._open.pop(alert.camera, None)
        while len(self._rows) > _KEPT:
            del self._rows[next(iter(self._rows))]
            self._forgotten += 1

    def raise_peak(self, judgement: Judgement) -> None:
        """Raise the peak of the camera's open event. Otherwise the row would lag behind the score between messages."""
        row = self._open.get(judgement.scored.frame.camera)
        if row is not None and judgement.score > row.peak:
            row.peak = judgement.score
            row.why = str(judgement.reasons[0]) if judgement.reasons else row.why

    def table(self, width: int, rows: int) -> Table | Text:
        """Draw the last events, the latest first: as many as fit with their reasons.

        width, rows  room for the table, in characters and in lines
        """
        if not self._rows:
            return Text("none yet", "dim")
        last = list(self._rows.values())[-rows:]
        longest = longest_name(width)
        names = {row.camera: shortened(row.camera, longest) for row in last}
        in_files = any(row.place for row in last)
        widths = {
            "time": 8,
            **({"footage": max(7, *(len(row.place) for row in last))} if in_files else {}),
            "camera": max(6, *map(len, names.values())),
            "peak": max(4, *(len(f"{row.peak:.2f}") for row in last)),
            "lasted": max(6, *(len(row.lasted) for row in last)),
        }
        table = plain_table()
        for name, own in widths.items():
            right = name in ("footage", "peak", "lasted")
            table.add_column(name, no_wrap=True, width=own, justify="right" if right else "left")
        table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
        room = max(1, width - sum(widths.values()) - len(widths))
        for row in reversed(last):
            if rows < 1:
                break
            clock = datetime.fromtimestamp(row.at).strftime("%H:%M:%S")
            lasted = Text(row.lasted, "bold red" if row.ended_s is None and row.notify else "")
            why = textwrap.wrap(safe(row.why), room, max_lines=rows, placeholder="…")
            rows -= max(1, len(why))
            style = "" if row.notify else "dim"
            cells = (plain(names[row.camera]), f"{row.peak:.2f}", lasted, Text("\n".join(why)))
            table.add_row(clock, *([row.place] if in_files else []), *cells, style=style)
        return table
