"""Quiet hours: when nobody is to be disturbed, by the local time of the monitor's machine. Pure."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_RULE = re.compile(r"(?:(?P<days>[A-Za-z,\- ]+?))?\s*(?:(?P<begin>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d))?")
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietRule:
    """One rule. days: 0 is Monday; begin, end: minutes of the day. If the end is not later, it is on the next day."""

    days: frozenset[int]
    begin: int
    end: int

    def covers(self, unix_s: float) -> bool:
        """Whether a time is quiet. A rule over midnight belongs to the day on which it begins."""
        now = time.localtime(unix_s)
        minute, day = now.tm_hour * 60 + now.tm_min, now.tm_wday
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


def parse_quiet(text: str) -> QuietRule:
    """A rule such as ``22:00-07:00``, ``Sat,Sun`` or ``Mon-Fri 08:00-18:00``. Raises ValueError."""
    mistake = f"'{text[:40]}' is no quiet time: write 22:00-07:00, Sat,Sun or Mon-Fri 08:00-18:00"
    found = _RULE.fullmatch(text.strip())
    if found is None or not any(found.group("days", "begin")):
        raise ValueError(mistake)
    days = frozenset(range(7)) if found["days"] is None else _days(found["days"], mistake)
    if found["begin"] is None:
        return QuietRule(days, 0, _DAY_MIN)
    begin, end = (_minute(found[name], mistake) for name in ("begin", "end"))
    if begin == end:
        raise ValueError(f"'{text[:40]}' begins when it ends: leave the times out for a whole day")
    return QuietRule(days, begin, end)


def _days(text: str, mistake: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        ends = [one.strip()[:3].capitalize() for one in part.split("-")]
        if not 1 <= len(ends) <= 2 or not all(one in DAYS for one in ends):
            raise ValueError(mistake)
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return frozenset(found)


def _minute(text: str, mistake: str) -> int:
    hour, minute = map(int, text.split(":"))
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise ValueError(mistake)
    return hour * 60 + minute
