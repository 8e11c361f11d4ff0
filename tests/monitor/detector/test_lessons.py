from __future__ import annotations

import time

import pytest

from monitor.detector.lessons import Lesson, hour_at, hour_of
from monitor.testing.fakes import frame


@pytest.mark.parametrize(
    ("hours", "hour", "holds"),
    [
        (None, 3.0, True),
        ((9.0, 11.0), 10.0, True),
        ((9.0, 11.0), 12.0, False),
        ((23.0, 25.0), 0.5, True),
        ((23.0, 25.0), 1.5, False),
        ((-1.0, 1.0), 23.5, True),
        ((-1.0, 1.0), 12.0, False),
        ((9.0, 11.0), None, True),
    ],
)
def test_a_lesson_holds_around_its_time_of_day(
    hours: tuple[float, float] | None, hour: float | None, holds: bool
) -> None:
    assert Lesson((), hours=hours).holds_at(hour) is holds


def test_the_time_of_day_is_that_of_live_frames_only() -> None:
    noon = time.mktime((2026, 3, 2, 12, 30, 0, 0, 0, -1))
    assert hour_at(noon) == pytest.approx(12.5)
    assert hour_at(0.0) is None
    live = frame(1.0)
    assert hour_of(live) == hour_at(live.wall_time)
    object.__setattr__(live, "media_s", 1.0)
    assert hour_of(live) is None
