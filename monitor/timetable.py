"""Times of the week, such as ``Mon-Fri 22:00-07:00``, by the clock of a time zone. Pure.

Days and hours are those that a clock on the wall shows there. So when clocks are set back, an hour that comes twice is
covered twice; when they are set forward, a time that does not exist is covered by nobody.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_TIMES = 100
"""Times in one timetable."""
_RULE = re.compile(r"(?:(?P<days>[A-Za-z,\- ]+?))?\s*(?:(?P<begin>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d))?")
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class WeekTime:
    """A time on some days. days: 0 is Monday; begin, end: minutes of the day. An end not later is on the next day."""

    days: frozenset[int]
    begin: int
    end: int

    def covers(self, day: int, minute: int) -> bool:
        """Whether it covers a minute of a day. A time over midnight belongs to the day on which it begins."""
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Times of the week. zone: name of a time zone; "" for that of the machine."""

    times: tuple[WeekTime, ...]
    zone: str = ""

    def covers(self, unix_s: float) -> bool:
        """Whether one of the times covers this moment, unix seconds."""
        day, minute = local_minute(unix_s, self.zone)
        return any(one.covers(day, minute) for one in self.times)


def timetable(texts: Iterable[str], zone: str = "") -> Timetable | None:
    """The times of these texts; None without any. Raises ValueError, see ``parse_time`` and ``known_zone``."""
    times = tuple(parse_time(text) for text in texts)
    return Timetable(times, known_zone(zone)) if times else None


def local_minute(unix_s: float, zone: str = "") -> tuple[int, int]:
    """The day of the week (0 is Monday) and the minute of the day in a time zone."""
    if not zone:
        now = time.localtime(unix_s)
        return now.tm_wday, now.tm_hour * 60 + now.tm_min
    there = datetime.fromtimestamp(unix_s, _zone(zone))
    return there.weekday(), there.hour * 60 + there.minute


def known_zone(name: str) -> str:
    """The name of a time zone, checked; "" for that of the machine. Raises ValueError for an unknown one."""
    if name:
        try:
            _zone(name)
        except (KeyError, ValueError, OSError):  # also a path that is no zone, and a folder of zones
            raise ValueError(f"'{name[:40]}' is no time zone that this machine knows: write Europe/Berlin") from None
    return name


def parse_time(text: str) -> WeekTime:
    """A time such as ``22:00-07:00``, ``Sat,Sun`` or ``Mon-Fri 08:00-18:00``. Raises ValueError."""
    mistake = f"'{text[:40]}' is no time of the week: write 22:00-07:00, Sat,Sun or Mon-Fri 08:00-18:00"
    found = _RULE.fullmatch(text.strip())
    if found is None or not any(found.group("days", "begin")):
        raise ValueError(mistake)
    days = frozenset(range(7)) if found["days"] is None else _days(found["days"], mistake)
    if found["begin"] is None:
        return WeekTime(days, 0, _DAY_MIN)
    begin, end = (_minute(found[name], mistake) for name in ("begin", "end"))
    if begin == end:
        raise ValueError(f"'{text[:40]}' begins when it ends: leave the times out for a whole day")
    return WeekTime(days, begin, end)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


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
