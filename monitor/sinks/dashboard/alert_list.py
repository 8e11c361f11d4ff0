"""The dashboard's list of the last alerts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.table import Table
from rich.text import Text

from monitor.alerts.messages import AlertMessage
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.sinks.dashboard.browser import AlertKey
from monitor.sinks.dashboard.style import longest_name, plain_table
from monitor.states import Phase
from monitor.text.durations import place
from monitor.text.outside import plain, safe
from monitor.text.wording import shortened

_KEPT = 100
MOST_LINES = 2
"""Lines per event in the list; its details hold the whole text."""


@dataclass(slots=True)
class _Row:
    """One event. seen: the user has acknowledged it, or an earlier run has shown it."""

    at: float
    camera: str
    peak: float
    started_s: float
    ended_s: float | None
    why: tuple[str, ...]
    notify: bool
    media_s: float | None
    seen: bool = False
    earlier: bool = False

    @property
    def place(self) -> str:
        """Where the event began in its file; empty for a live camera."""
        return "" if self.media_s is None else place(self.media_s)

    @property
    def lasted(self) -> str:
        """Duration of the event, or ``open`` while it continues."""
        unfinished = "cut off" if self.earlier else "open"
        lasted = unfinished if self.ended_s is None else f"{self.ended_s - self.started_s:.1f} s"
        return lasted if self.notify else f"quiet {lasted}"

    @property
    def is_open(self) -> bool:
        """Whether the event continues."""
        return self.ended_s is None and not self.earlier


class LastAlerts:
    """Keeps the last events, one row each, and draws them as a table."""

    def __init__(self) -> None:
        self._rows: dict[AlertKey, _Row] = {}
        self._open: dict[str, _Row] = {}
        self._forgotten = 0

    def __len__(self) -> int:
        return sum(not row.earlier for row in self._rows.values()) + self._forgotten

    @property
    def keys(self) -> list[AlertKey]:
        """The events, the latest first."""
        return list(reversed(self._rows))

    @property
    def new(self) -> int:
        """Number of events that the user has not acknowledged."""
        return sum(not row.seen for row in self._rows.values())

    def acknowledge(self) -> None:
        """Mark all events as seen."""
        for row in self._rows.values():
            row.seen = True

    def remember(self, messages: Sequence[AlertMessage]) -> None:
        """Show events of earlier runs, from the journal: all phases, oldest first. Call it before ``take``."""
        for message in messages:
            why = tuple(reason.text for reason in message.reasons)
            key = (message.camera, message.event_id)
            before = self._rows.pop(key, None)
            if before is not None and (message.phase is Phase.UPDATE or not why):
                why = before.why
            times = message.started_s, message.ended_s
            peak = message.peak_score
            row = _Row(message.started_at, message.camera, peak, *times, why, message.notify, message.media_s)
            row.seen = row.earlier = True
            self._rows[key] = row
        while len(self._rows) > _KEPT:
            del self._rows[next(iter(self._rows))]

    def take(self, alert: Alert) -> None:
        """Record the start, an update or the end of an event."""
        event = alert.event
        why = tuple(map(str, alert.reasons))
        key = (alert.camera, event.number)
        before = self._rows.get(key)
        if before is not None and (event.phase is Phase.UPDATE or not why):
            why = before.why  # an update gives the reason of the present score, the row that of the peak
        times = event.started_s, event.ended_s
        row = _Row(alert.started_at, alert.camera, event.peak_score, *times, why, event.notify, alert.media_s)
        row.seen = before is not None and before.seen
        self._rows[key] = row
        if event.ended_s is None:
            self._open[alert.camera] = row
        else:
            self._open.pop(alert.camera, None)
        while len(self._rows) > _KEPT:
            self._forgotten += not self._rows.pop(next(iter(self._rows))).earlier

    def raise_peak(self, judgement: Judgement) -> None:
        """Raise the peak of the camera's open event. Otherwise the row would lag behind the score between messages."""
        row = self._open.get(judgement.scored.frame.camera)
        if row is not None and judgement.score > row.peak:
            row.peak = judgement.score
            row.why = tuple(map(str, judgement.reasons)) or row.why

    def table(self, width: int, rows: int, selected: AlertKey | None = None, *, earlier: bool = True) -> Table | Text:
        """Draw the last events, the latest first: as many as fit, each with the first lines of its reason.

        width, rows  room for the table, in characters and in lines
        selected     this event is among those drawn; then each reason has one line
        earlier      also draw events of earlier runs
        """
        kept = [(key, row) for key, row in reversed(self._rows.items()) if earlier or not row.earlier]
        if not kept:
            return Text("none yet", "dim")
        at = next((number for number, (key, _) in enumerate(kept) if key == selected), 0)
        last = kept[max(0, at - rows + 1) :][: max(1, rows)]
        longest = longest_name(width)
        names = {row.camera: shortened(row.camera, longest) for _, row in last}
        clocks = [_clock(row.at) for _, row in last]
        in_files = any(row.place for _, row in last)
        widths = {
            "time": max(8, *map(len, clocks)),
            **({"footage": max(7, *(len(row.place) for _, row in last))} if in_files else {}),
            "camera": max(6, *map(len, names.values())),
            "peak": max(4, *(len(f"{row.peak:.2f}") for _, row in last)),
            "lasted": max(6, *(len(row.lasted) for _, row in last)),
        }
        table = plain_table()
        for name, own in widths.items():
            right = name in ("footage", "peak", "lasted")
            table.add_column(name, no_wrap=True, width=own, justify="right" if right else "left")
        table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
        room = max(1, width - sum(widths.values()) - len(widths))
        for (key, row), clock in zip(last, clocks, strict=True):
            if rows < 1:
                break
            lasted = Text(row.lasted, "bold red" if row.is_open and row.notify else "")
            most = min(rows, MOST_LINES) if selected is None else 1
            why = textwrap.wrap(safe(row.why[0] if row.why else ""), room, max_lines=most, placeholder="…")
            rows -= max(1, len(why))
            style = "reverse" if key == selected else "dim" if row.seen or not row.notify else ""
            cells = (plain(names[row.camera]), f"{row.peak:.2f}", lasted, Text("\n".join(why)))
            table.add_row(clock, *([row.place] if in_files else []), *cells, style=style)
        return table

    def facts(self, key: AlertKey) -> list[tuple[str, str]]:
        """All that is known of an event, as pairs of a word and a text."""
        row = self._rows[key]
        when = datetime.fromtimestamp(row.at).strftime("%Y-%m-%d %H:%M:%S")
        return [
            ("camera", row.camera),
            ("began", f"{when}{row.place and f', at {row.place} of the footage'}"),
            ("lasted", f"{row.lasted}{', in an earlier run' if row.earlier else ''}"),
            ("peak", f"{row.peak:.2f} (1.00 is the threshold)"),
            *(("why" if number == 0 else "and", why) for number, why in enumerate(row.why)),
        ]


def _clock(at: float) -> str:
    """The time of day, with the date if it is more than 12 hours ago. at: unix seconds."""
    time = datetime.fromtimestamp(at)
    today = abs(datetime.now() - time) < timedelta(hours=12)
    return time.strftime("%H:%M:%S" if today else "%d %b %H:%M")
