"""How long a live camera's frames may wait: as long as they came too early, and not because a camera is fast."""

from __future__ import annotations

import pytest

from monitor.live.pacing import Bursts


def _waits(frames: list[tuple[float, float]]) -> list[float]:
    bursts = Bursts()
    return [bursts.came(time_s, at) for time_s, at in frames]


def test_the_frames_of_a_burst_may_wait_until_the_next_burst() -> None:
    waits = _waits([(n / 10, n // 25 * 2.5 + n % 25 * 0.002) for n in range(100)])
    for start in range(0, 100, 25):
        assert waits[start] <= 0.15
        assert 1.5 < waits[start + 24] < 2.5


def test_the_frames_of_a_burst_of_twenty_seconds_may_wait_for_room() -> None:
    waits = _waits([(n / 10, n // 200 * 20.0 + n % 200 * 0.04) for n in range(600)])
    assert min(waits[230:400]) > 0.4


@pytest.mark.parametrize("drift", [1.0, 1.02, 1.05, 0.9])
def test_a_steady_camera_may_not_wait_even_if_its_clock_runs_fast(drift: float) -> None:
    assert max(_waits([(n / 10 * drift, n / 10 + n % 3 * 0.01) for n in range(5000)])) < 0.4


def test_what_has_waited_uses_up_its_time() -> None:
    """The machine is too slow for the burst: each frame waits as long as it may."""
    bursts, at, waited_s = Bursts(), 0.0, 0.0
    for number in range(25):
        wait_s = bursts.came(number / 10, at)
        at, waited_s = at + wait_s, waited_s + wait_s
    assert waited_s <= 2.5
