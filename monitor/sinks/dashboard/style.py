"""Shared parts of the dashboard: colours, bars, widths, clocks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from monitor.reports import CameraReport, Progress
from monitor.states import CameraState

BARS = "▁▂▃▄▅▆▇█"
BARS_TOP = 1.6
"""The score of a full sparkline bar: clearly above the threshold (1)."""

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
    CameraState.PAUSED: "bold yellow",
    CameraState.MOVED: "bold magenta",
    CameraState.DEFOCUSED: "bold magenta",
    CameraState.FLIPPED: "bold cyan",
    CameraState.NOISY: "cyan",
    CameraState.DRIFTED: "cyan",
    CameraState.OVER_BUDGET: "magenta",
    CameraState.LIMITED: "yellow",
    CameraState.UNSCORED: "bold red",
    CameraState.OVERLOADED: "bold yellow",
    CameraState.FAILED: "bold red",
    CameraState.ENDED: "dim",
}


def plain_table() -> Table:
    """Return a table without lines that fills the available width."""
    return Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style="dim")


def is_wide(width: int) -> bool:
    """Return True if a terminal of ``width`` characters has room for the optional columns and facts."""
    return width >= 110


def longest_name(width: int) -> int:
    """Return the longest camera name in characters; longer names are shortened."""
    return 24 if is_wide(width) else 11


def score_style(score: float) -> str:
    """Return the colour of a score."""
    return "bold red" if score >= 1 else "yellow" if score >= 0.8 else "green"


def progress_bar(progress: Progress | None, width: int) -> Text:
    """Draw the learning progress of a camera as a bar with a percentage."""
    fraction = 0.0 if progress is None else min(max(progress.fraction, 0.0), 1.0)
    room = width - 5
    done = int(fraction * room)
    return Text("━" * done, "cyan").append("─" * (room - done), "dim").append(f" {100 * fraction:3.0f}%")


def sparkline(history: Sequence[float | None], width: int) -> Text:
    """Draw scores as bars, the latest on the right: red from the threshold up, a dot if there was no score."""
    if not history:
        return Text("·" * width, "dim")
    per_bar = -(-60 // width)  # the width shows one minute
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
        text.append(BARS[level], score_style(score))
    return text


def age(camera: CameraReport) -> str:
    """Return p50/p99 of the age of a frame when it is scored, in ms."""
    if camera.age_p50_s is None or camera.age_p99_s is None:
        return "-"
    return f"{camera.age_p50_s * 1e3:.0f}/{camera.age_p99_s * 1e3:.0f}"


def clock(seconds: float) -> str:
    """Format seconds since the start as hours, minutes and seconds."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
