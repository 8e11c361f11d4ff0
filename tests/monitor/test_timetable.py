"""Times of the week: days, hours, nights that end on the next day, time zones and their changes of clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from monitor.timetable import Timetable, known_zone, local_minute, parse_time, timetable


def at(day: int, hour: int, minute: int = 0) -> float:
    """A local time in a week that begins with Monday, day 0."""
    return time.mktime((2026, 6, 1 + day, hour, minute, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("rule", "quiet", "loud"),
    [
        ("22:00-07:00", [(0, 22), (0, 23), (1, 0), (1, 6)], [(0, 21), (1, 7), (1, 12)]),
        ("08:00-18:00", [(0, 8), (0, 17)], [(0, 7), (0, 18)]),
        ("Sat,Sun", [(5, 0), (5, 23), (6, 12)], [(4, 23), (0, 0)]),
        ("Mon-Fri 08:00-18:00", [(0, 8), (4, 17)], [(5, 9), (0, 18)]),
        ("Fri 22:00-07:00", [(4, 22), (5, 6)], [(4, 6), (5, 22)]),
        ("Sat-Mon 00:00-24:00", [(5, 0), (6, 12), (0, 23)], [(1, 0), (4, 23)]),
        ("sunday 23:30 - 0:30", [(6, 23, 45), (0, 0, 15)], [(6, 23), (0, 1)]),
    ],
)
def test_a_rule_covers_its_times(rule: str, quiet: list[tuple[int, ...]], loud: list[tuple[int, ...]]) -> None:
    parsed = Timetable((parse_time(rule),))
    assert [time for time in quiet if not parsed.covers(at(*time))] == []
    assert [time for time in loud if parsed.covers(at(*time))] == []


@pytest.mark.parametrize(
    "text", ["", "night", "25:00-07:00", "22:00", "22-07", "Mon-Fri-Sat", "22:00-22:00", "Xyz 1:00-2:00"]
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time of the week: write 22:00-07:00|leave the times out"):
        parse_time(text)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_clock_of_the_zone_counts() -> None:
    night = timetable(["22:00-07:00"], "America/New_York")
    assert night is not None
    assert night.covers(utc("2026-01-10T03:30")), "half past ten in the evening there"
    assert not night.covers(utc("2026-01-10T22:30"))
    assert timetable([], "America/New_York") is None


@pytest.mark.parametrize(
    ("at", "minute"),
    [
        ("2026-03-29T00:59", 119),  # 01:59 in Berlin, then 03:00
        ("2026-03-29T01:00", 180),
        ("2026-10-25T00:30", 150),  # 02:30 comes twice
        ("2026-10-25T01:30", 150),
        ("2026-10-25T02:00", 180),
    ],
)
def test_clocks_that_are_set_forward_or_back(at: str, minute: int) -> None:
    assert local_minute(utc(at), "Europe/Berlin") == (6, minute)
    hour = timetable(["02:00-03:00"], "Europe/Berlin")
    assert hour is not None
    assert hour.covers(utc(at)) == (minute == 150)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "x" * 300, "a\0b"])
def test_an_unknown_zone_is_refused_with_what_to_write(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone that this machine knows: write Europe/Berlin"):
        known_zone(name)
