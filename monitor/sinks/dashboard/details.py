"""The details of one camera or one event, in place of the list of the last alerts."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.promise import watched_words
from monitor.reports import CameraReport
from monitor.sinks.dashboard.style import age, plain_table
from monitor.text.durations import in_words
from monitor.text.outside import plain

_MEASURE = Console(file=io.StringIO())


def details(facts: Sequence[tuple[str, str]], rows: int) -> Table:
    """Draw pairs of a word and a text, at most ``rows`` of them. A long text is wrapped."""
    table = plain_table()
    table.show_header = False
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1, overflow="fold")
    for word, text in facts[: max(1, rows)]:
        table.add_row(Text(word), plain(text))
    return table


def lines_needed(facts: Sequence[tuple[str, str]], width: int) -> int:
    """Lines that the details need if nothing is cut. width: room for them, in characters."""
    room = max(1, width - max((len(word) for word, _ in facts), default=0) - 1)
    return sum(len(plain(text).wrap(_MEASURE, room, overflow="fold")) for _, text in facts)


def camera_facts(camera: CameraReport) -> list[tuple[str, str]]:
    """All that is known of a camera, as pairs of a word and a text. What matters most comes first."""
    since = in_words(max(0.0, time.monotonic() - camera.since))
    facts = [
        ("camera", camera.name),
        ("state", f"{camera.state} for {since}{camera.detail and f': {camera.detail}'}"),
        ("source", camera.source),
        ("frames", f"{camera.frames_in} received, {camera.analysed} analysed, {camera.dropped} dropped"),
        ("per second", f"{camera.fps_in:.1f} received, {camera.fps_analysed:.1f} analysed"),
        ("age", f"{age(camera)} ms from a frame to its score (median and 99 %)"),
        ("lost", f"{camera.reconnects} reconnects, {camera.stalls} stalls"),
        ("bad", f"{camera.missing} missing, {camera.unreadable} unreadable"),
        ("alerts", str(camera.events) if camera.promise is None else f"{camera.events}; {camera.promise.text}"),
    ]
    if camera.promise is not None and (watched := watched_words(camera.promise.watched_s, camera.promise.blind_s)):
        facts.append(("watched", watched.removeprefix("watched ")))
    if camera.progress is not None:
        facts.insert(2, ("learning", str(camera.progress)))
    if camera.rests_on_s is not None:
        facts.append(("threshold", f"rests on only {in_words(camera.rests_on_s)} of footage"))
    return facts
