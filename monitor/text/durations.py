"""Durations as users write them: ``90s``, ``10m``, ``2h``, ``1.5h``, or a number of seconds."""

from __future__ import annotations

import math
import re
import time

from monitor.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


_LONGEST_S = 100 * 365 * 86_400.0


def parse_duration(text: str) -> float:
    """Seconds, > 0. Raises UsageError if the text is not a duration."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", text)
    seconds = float(found.group(1)) * _UNITS.get(found.group(2), math.nan) if found else math.nan
    if not 0 < seconds <= _LONGEST_S:
        raise UsageError(f"'{text}' is not a duration: write 90s, 10m or 2h")
    return seconds


def place(seconds: float) -> str:
    """A position in a recording, as a video player shows it: ``0:12``, ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def in_words(seconds: float) -> str:
    """``45 s``, ``10 min``, ``1.5 h``."""
    if round(seconds) < 60:
        return f"{max(0.0, seconds):.0f} s"
    return f"{round(seconds / 60, 1):g} min" if seconds < 3600 else f"{round(seconds / 3600, 1):g} h"


def local_time(unix_s: float) -> str:
    """``2026-03-02 14:07:31`` in this machine's time zone, or the number if there is no such time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))
    except (OverflowError, ValueError, OSError):
        return f"{unix_s:.0f}"
