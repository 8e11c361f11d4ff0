"""When a camera's alerts are raised, and when they are only recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator

from monitor.settings import Settings
from monitor.timetable import MOST_TIMES, Timetable, known_zone, parse_time, timetable


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _times(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        parse_time(text)
    return value


Times = Annotated[tuple[str, ...], BeforeValidator(_several), Field(max_length=MOST_TIMES)]
"""Times of the week, such as ``Mon-Fri 22:00-07:00``; one text is a list of one."""
check_times = _times
"""Returns texts of times. Raises ValueError for one that is none."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times in which alerts are raised: those of ``armed`` (None: all times) that ``quiet`` does not cover.

    off  True: at no time, because somebody has disarmed the camera
    """

    armed: Timetable | None = None
    quiet: Timetable | None = None
    off: bool = False

    def is_armed(self, unix_s: float | None) -> bool:
        """Whether alerts are raised at this time, unix seconds; if the time is not known, unless it is ``off``."""
        if self.off:
            return False
        if unix_s is None:
            return True
        if self.quiet is not None and self.quiet.covers(unix_s):
            return False
        return self.armed is None or self.armed.covers(unix_s)


class ScheduleSettings(Settings):
    """When alerts are raised. At other times, events are recorded, and notify nobody."""

    armed: Times = ()
    """Times in which alerts are raised: ``22:00-07:00``, ``Sat,Sun``, ``Mon-Fri 18:00-07:00``. Empty: always."""
    quiet: Times = ()
    """Times in which alerts are not raised, also within ``armed``."""
    time_zone: str = Field("", max_length=255)
    """Time zone of the camera, such as ``Europe/Berlin``. Empty: that of the monitor's machine."""
    recorded_at: datetime | None = None
    """For a file or folder: when its footage begins; local time of the camera unless it has a zone. Without it, alerts
    of a file are always raised, and its zones hold at all times."""

    _check_times = field_validator("armed", "quiet")(_times)

    @field_validator("recorded_at")
    @classmethod
    def _check_year(cls, value: datetime | None) -> datetime | None:
        if value is not None and not 1970 < value.year < 2200:
            raise ValueError(f"the year {value.year} is out of range: give one from 1971 to 2199")
        return value

    _check_zone = field_validator("time_zone")(known_zone)

    @property
    def schedule(self) -> Schedule | None:
        """The times; None if alerts are always raised."""
        armed, quiet = timetable(self.armed, self.time_zone), timetable(self.quiet, self.time_zone)
        return Schedule(armed, quiet) if armed or quiet else None

    @property
    def recorded_at_s(self) -> float | None:
        """``recorded_at`` as unix seconds."""
        if self.recorded_at is None:
            return None
        local = self.recorded_at
        if local.tzinfo is None:
            local = local.replace(tzinfo=ZoneInfo(self.time_zone)) if self.time_zone else local.astimezone()
        return (local - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
