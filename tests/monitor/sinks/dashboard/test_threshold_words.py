"""The header promises a rate of false alarms only if the footage bears it."""

from __future__ import annotations

import time

from monitor.reports import Progress
from monitor.sinks.dashboard.threshold_words import threshold_words
from monitor.states import CameraState
from monitor.testing.sink_contract import report_of

NOON = time.mktime((2026, 3, 2, 12, 0, 0, 0, 0, -1))
SURE = report_of("door")
SHORT = report_of("yard", rests_on_s=600.0)


def test_a_rate_is_promised_only_if_all_thresholds_rest_on_enough_footage() -> None:
    assert threshold_words([SURE], 10.0, NOON) == "1.00 = 10 false alarms per day"
    assert threshold_words([SURE, SHORT], 10.0, NOON) == "1.00 = estimate of 10 false alarms per day"
    assert threshold_words([], 1.0, NOON) == "1.00 = 1 false alarm per day"


def test_while_a_camera_learns_the_time_is_said_before_which_nothing_is_reliable() -> None:
    soon = report_of("gate", CameraState.LEARNING, progress=Progress(0.2, "recording", 300.0))
    later = report_of("shop", progress=Progress(0.5, "learning", 3_600.0, of="the rest"))
    unknown = report_of("roof", CameraState.LEARNING, progress=Progress(0.0, "recording"))
    assert threshold_words([SURE, soon], 1.0, NOON) == "still learning, not reliable before 12:05"
    assert threshold_words([soon, later, unknown], 1.0, NOON) == "still learning, not reliable before 13:00"
    assert threshold_words([SHORT, unknown], 1.0, NOON) == "still learning, not reliable yet"
