"""Quiet times: days, times, and nights that end on the next day."""

from __future__ import annotations

import time

import pytest

from monitor.delivery.quiet_hours import parse_quiet


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
    parsed = parse_quiet(rule)
    assert [time for time in quiet if not parsed.covers(at(*time))] == []
    assert [time for time in loud if parsed.covers(at(*time))] == []


@pytest.mark.parametrize(
    "text", ["", "night", "25:00-07:00", "22:00", "22-07", "Mon-Fri-Sat", "22:00-22:00", "Xyz 1:00-2:00"]
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"no quiet time: write 22:00-07:00|leave the times out"):
        parse_quiet(text)
