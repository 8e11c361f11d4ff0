"""Writes an evaluation as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path

from monitor.text.wording import about, counted, shortened
from training.evaluate.evaluation import Evaluation
from training.evaluate.events import Alarm, EventFigures
from training.evaluate.localisation import HitRate
from training.evaluate.ranking import Interval, Metrics
from training.output import write_whole

_MOST = 20
"""Maximum number of alarms, and of missed events, in the text. The JSON file contains all."""
_GAP = "   "
_LEAST = 20
"""Minimum width of the column of reasons in characters, even in a narrow terminal."""


def text(found: Evaluation, width: int | None = None) -> str:
    """The whole report, for a terminal of ``width`` characters. None: for a file, with lines of any length."""
    parts = [fitted(_heading(found), width), _ranking(found, width)]
    if found.events is not None:
        parts.append(_events(found.events, width))
    if found.hit_rates:
        parts.append(_hit_rates(found.hit_rates))
    if not math.isnan(found.rbdc):
        parts.append(fitted(f"Region-based detection (RBDC) of the fused map: {found.rbdc:.3f}", width))
    parts.append(fitted(timings(found.ms), width))
    return "\n\n".join(parts)


def fitted(block: str, width: int | None) -> str:
    """Break lines that are too long between words. The rest of a line is indented by two more characters."""
    if width is None:
        return block
    lines = []
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        lines += textwrap.wrap(
            line.strip(), width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2)
        ) or [""]
    return "\n".join(lines)


def columns(rows: Sequence[Sequence[str]], gap: str = _GAP, left: Sequence[int] = (0,)) -> str:
    """Align the columns of rows with spaces: columns with a number in ``left`` to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        gap.join(
            c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def figure(value: float, interval: Interval | None = None) -> str:
    """``0.842 [0.801, 0.880]``; a dash for NaN."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def clock(seconds: float) -> str:
    """Format a time as ``0:07.2`` or ``1:02:03.4``."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest / 10:04.1f}"


def alarm_table(alarms: Sequence[Alarm], width: int | None = None) -> str:
    """One row per alarm: video, start, length, peak score, reasons. Long reasons continue on the lines below."""
    rows: list[tuple[str, ...]] = [("video", "from", "length", "peak")]
    whys = ["why"]
    for alarm in alarms:
        video = alarm.video if width is None else shortened(alarm.video, width // 4)
        rows.append((video, clock(alarm.started_s), f"{alarm.length_s:.1f} s", f"{alarm.peak_score:.2f}"))
        whys.append(f"{alarm.detector}: {'; '.join(alarm.reasons[:2])}" if alarm.reasons else alarm.detector)
    facts = columns(rows).splitlines()
    wide = max(map(len, facts)) + len(_GAP)
    lines = []
    for fact, why in zip(facts, whys, strict=True):
        first, *rest = [why] if width is None else textwrap.wrap(why, max(_LEAST, width - wide)) or [""]
        lines += [fact.ljust(wide) + first, *(" " * wide + line for line in rest)]
    return "\n".join(lines)


def to_json(found: object) -> str:
    """A dataclass, or a result of ``asdict``, as JSON; NaN becomes null."""
    plain = asdict(found) if is_dataclass(found) and not isinstance(found, type) else found
    return json.dumps(_without_nan(plain), indent=2) + "\n"


def write_json(found: Evaluation, path: Path) -> None:
    """Write the figures as JSON, NaN as null. Raises RunError."""
    write_whole(path, to_json(found))


def _heading(found: Evaluation) -> str:
    rate = f"{found.analysis_fps:g} frames per second analysed" if found.analysis_fps else "every frame analysed"
    how = "causal, as in a live run" if found.post == "causal" else f"{found.post} post-processing, offline"
    lines = [
        f"{found.model}: {counted(found.frames, 'frame')} of {counted(found.videos, 'video')} "
        f"({found.mixed_videos} with both classes), {found.abnormal} abnormal; {how}, {rate}"
    ]
    if found.corruption:
        lines.append(f"corrupted on purpose: {found.corruption}")
    lost = [f"{frames} {state}" for state, frames in found.not_scored.items()]
    if found.unreadable:
        lost.append(f"{found.unreadable} unreadable")
    if lost:
        lines.append(f"frames without a score: {', '.join(lost)}")
    return "\n".join(lines)


def _ranking(found: Evaluation, width: int | None) -> str:
    m = found.scores
    rows: list[tuple[str, ...]] = [
        (
            "",
            "AUC micro",
            "AUC macro",
            f"AP micro (chance {m.chance:.3f})",
            f"AP macro (chance {figure(m.chance_macro)})",
        )
    ]
    listed: dict[str, Metrics] = {"fused": found.scores} if len(found.detectors) > 1 else {}
    for name, metrics in {**listed, **found.detectors, "frame difference": found.frame_difference}.items():
        rows.append(
            (
                name,
                figure(metrics.auc_micro, metrics.auc_micro_interval),
                figure(metrics.auc_macro, metrics.auc_macro_interval),
                figure(metrics.ap_micro, metrics.ap_micro_interval),
                figure(metrics.ap_macro, metrics.ap_macro_interval),
            )
        )
    table = columns(rows)
    if width is not None and max(map(len, table.splitlines())) > width:
        table = "\n\n".join(columns([(row[0], *row[part]) for row in rows]) for part in (slice(1, 3), slice(3, 5)))
    note = "[ ]: 95 % of 1000 bootstrap resamples of the videos"
    return table + (f"\n{note}" if m.auc_micro_interval else "")


def _events(events: EventFigures, width: int | None) -> str:
    lines = [f"At the threshold for {counted(events.budget_per_day, 'false alarm')} per day:"]
    if events.allowed_per_day > events.budget_per_day:
        lines.append(
            f"  as of a camera that is new: {about(events.allowed_per_day)} are allowed at first, because the model's "
            "held-out footage does not show what is"
        )
        lines.append("  rare; the rate falls to the budget while a day is watched. More footage makes it reliable")
    if events.events:
        delay = "" if math.isnan(events.delay_s) else f", median delay {events.delay_s:.1f} s"
        lines.append(f"  {events.found} of {counted(events.events, 'event')} found ({events.recall:.0%}){delay}")
        if events.already_on:
            lines.append(f"  in {events.already_on} of those missed, an earlier alarm was still on: it tells nobody")
    false = counted(len(events.false_alarms), "false alarm")
    if events.false_alarms_per_hour_interval is None:
        lines.append(f"  {false}")
    else:
        low, high = events.false_alarms_per_hour_interval
        lines.append(
            f"  {false} in {_footage(events.normal_hours)} of normal footage: "
            f"{about(events.false_alarms_per_hour)} per hour [{about(low)}, {about(high)}]"
        )
    lines = [fitted(line, width) for line in lines]
    if events.false_alarms:
        lines += ["", "False alarms:", _indented(alarm_table(events.false_alarms[:_MOST], width and width - 2))]
        lines += _more(len(events.false_alarms))
    if events.missed:
        rows = [
            (video if width is None else shortened(video, width // 2), f"{clock(first)} - {clock(last)}")
            for video, first, last in events.missed[:_MOST]
        ]
        lines += ["", "Missed events:", _indented(columns(rows))]
        lines += _more(len(events.missed))
    return "\n".join(lines)


def _hit_rates(rates: Mapping[str, HitRate]) -> str:
    shown = {name: rate for name, rate in rates.items() if name != "fused" or len(rates) > 3}  # equal for one detector
    rows = [(f"  {name}", f"{hit.rate:.3f}", counted(hit.frames, "frame")) for name, hit in shown.items()]
    return "Region hit rate (the peak of the map is inside the mask):\n" + columns(rows)


def timings(ms: Mapping[str, float]) -> str:
    """The median time per frame at each stage, in ms, as a sentence."""
    stages = ", ".join(f"{stage} {about(value)}" for stage, value in ms.items())
    return f"Median ms per analysed frame: {stages}; together {about(sum(ms.values()))}"


def _footage(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _indented(block: str) -> str:
    return "\n".join(f"  {line}" for line in block.splitlines())


def _more(count: int) -> list[str]:
    return [f"  and {count - _MOST} more"] if count > _MOST else []


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
