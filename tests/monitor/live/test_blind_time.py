"""The time in which nobody watched a camera."""

from __future__ import annotations

import pytest

from monitor.live.blind_time import BLIND_AFTER_S, BlindTime


def test_frames_at_any_usual_rate_leave_nothing_out() -> None:
    for step_s in (0.02, 0.1, 1.0, 2.0):
        blind = BlindTime()
        blind.begin(100.0)
        for number in range(200):
            blind.judged(100.0 + number * step_s)
            blind.look(100.0 + (number + 0.9) * step_s)
        assert blind.blind_s == 0.0


def test_a_long_pause_counts_from_the_last_judged_frame_on_however_often_it_is_looked_at() -> None:
    for looks in (1, 7, 600):
        blind = BlindTime()
        blind.begin(0.0)
        blind.judged(1.0)
        for number in range(looks):
            blind.look(1.0 + 60.0 * (number + 1) / looks)
        blind.judged(61.0)
        assert blind.blind_s == pytest.approx(60.0)
        blind.judged(61.0 + 0.9 * BLIND_AFTER_S)
        assert blind.blind_s == pytest.approx(60.0)


def test_a_camera_that_never_gives_a_frame_is_blind_from_the_beginning() -> None:
    blind = BlindTime()
    blind.look(50.0)
    assert blind.blind_s == 0.0, "it is not to be watched yet"
    blind.begin(50.0)
    blind.begin(70.0)
    blind.look(80.0)
    assert blind.blind_s == pytest.approx(30.0)
