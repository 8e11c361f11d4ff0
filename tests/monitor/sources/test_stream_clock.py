"""Stream time of live cameras: from sound timestamps, spread over bursts without them, never backwards."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.sources.stream_clock import StreamClock
from monitor.stream.frame_timing import Sampler

Frames = Sequence[tuple[float, float | None]]
"""When each frame arrives, seconds, and its timestamp."""
BURSTS = [(fps, size) for fps in (0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 60.0) for size in (1, 2, 25, 60) if size / fps <= 10]
"""Frames per second, and frames that arrive at once; longer waits exceed any read timeout."""


def _bursts(fps: float, size: int, seconds: float, pts_step_s: float | None, late_s: float = 0.2) -> Frames:
    """``size`` frames at once, irregularly late; 1 for a steady camera."""
    rng = random.Random(7)
    found: list[tuple[float, float | None]] = []
    late = 0.0
    for number in range(round(seconds * fps)):
        if number % size == 0:
            late = rng.uniform(0, min(late_s, 0.2 / fps if size == 1 else late_s))
        at = number // size * size / fps + late + number % size * 1e-3
        found.append((at, None if pts_step_s is None else number * pts_step_s))
    return found


def _times(frames: Frames, clock: StreamClock | None = None) -> list[float]:
    clock = clock or StreamClock()
    return [clock.time_of(arrived_s, pts_s) for arrived_s, pts_s in frames]


def _steps(times: Sequence[float]) -> NDArray[np.float64]:
    return np.diff(np.array(times))


def _late_steps(times: Sequence[float]) -> NDArray[np.float64]:
    return _steps(times[len(times) // 2 :])


@pytest.mark.parametrize(("fps", "size"), BURSTS)
def test_sound_timestamps_give_the_steps_however_the_frames_arrive(fps: float, size: int) -> None:
    clock = StreamClock()
    times = _times(_bursts(fps, size, max(60, 8 / fps), 1 / fps), clock)
    assert clock.trusted
    assert _late_steps(times) == pytest.approx(1 / fps, rel=1e-6)


@pytest.mark.parametrize("pts_step_s", [None, 0.04, 0.0, 1000.0], ids=["none", "nominal", "stuck", "mad"])
@pytest.mark.parametrize(("fps", "size"), [case for case in BURSTS if case[0] != 25])
def test_without_sound_timestamps_a_burst_is_spread_evenly(fps: float, size: int, pts_step_s: float | None) -> None:
    """FFmpeg counts at 25 per second if a stream has no timestamps."""
    clock = StreamClock()
    frames = _bursts(fps, size, 60, pts_step_s)
    times = _times(frames, clock)
    assert not clock.trusted
    assert np.median(_late_steps(times)) == pytest.approx(1 / fps, rel=0.1)
    assert max(_late_steps(times)) < 2.5 / fps + 0.25 + 0.05 * size / fps, "no gap"
    assert abs(times[-1] - frames[-1][0]) < size / fps + 0.5, "it does not run away"


def test_a_steady_camera_without_timestamps_keeps_its_arrival_times() -> None:
    frames = [(number / 10 + (0.02 if number % 3 else 0.0), None) for number in range(200)]
    assert _times(frames) == pytest.approx([at for at, _ in frames], abs=1e-6)


def test_a_pause_of_the_camera_stays_a_gap_with_and_without_timestamps() -> None:
    for pts in (True, False):
        frames = [(t, t if pts else None) for t in [n / 10 for n in range(200)] + [28 + n / 10 for n in range(50)]]
        assert max(_steps(_times(frames))) == pytest.approx(8.1, abs=0.2)


def test_what_a_stalled_network_held_back_has_no_gap_with_timestamps() -> None:
    """Six seconds of frames come at once after a stall: nothing is missing."""
    frames: list[tuple[float, float | None]] = [(n / 10, n / 10) for n in range(200)]
    frames += [(26.0 + n * 1e-3, 20.0 + n / 10) for n in range(60)] + [(26.1 + n / 10, 26 + n / 10) for n in range(50)]
    assert _late_steps(_times(frames)) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 1e9, -1e9])
def test_a_clock_that_is_set_makes_no_gap(jump_s: float) -> None:
    frames = [(n / 10, n / 10 + (jump_s if n >= 150 else 0.0)) for n in range(300)]
    clock = StreamClock()
    assert max(_steps(_times(frames, clock))) < 0.5
    assert clock.trusted, "it is sound again after some seconds"


def test_timestamps_that_stop_are_given_up_and_do_not_come_back_for_ever() -> None:
    frames: list[tuple[float, float | None]] = [(n / 10, n / 10) for n in range(100)]
    for start in (10, 30, 50):
        frames += [(start + n / 10, frames[-1][1]) for n in range(100)]
        frames += [(start + 10 + n / 10, start + 10 + n / 10) for n in range(100)]
    clock = StreamClock()
    times = _times(frames, clock)
    assert not clock.trusted
    assert abs(times[-1] - frames[-1][0]) < 1


@pytest.mark.parametrize("step_s", [9.0, 0.3])
def test_timestamps_that_run_ahead_do_not_make_the_clock_wait_for_the_arrival(step_s: float) -> None:
    """A clock that stood still would leave out every frame until the arrival has caught up."""
    frames = [(n / 10, n / 10 if n < 100 else 10 + (n - 100) * step_s) for n in range(400)]
    times = _times(frames)
    assert max(times) > 35
    assert min(_steps(times)) > 0.05
    assert _late_steps(times) == pytest.approx(0.1, abs=0.01)


def test_a_recording_served_too_fast_does_not_stop_the_clock() -> None:
    times = _times([(n / 1000, n / 25) for n in range(3000)])
    assert times[-1] > 2.9


@given(
    st.lists(
        st.tuples(
            st.floats(0, 8),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e4)),
        ),
        min_size=1,
        max_size=80,
    )
)
@settings(max_examples=40, deadline=None)
def test_whatever_comes_time_grows_and_stays_near_the_arrival(steps: list[tuple[float, float | None]]) -> None:
    at, frames = 0.0, list[tuple[float, float | None]]()
    for step_s, pts_s in steps:
        at += step_s
        frames.append((at, pts_s))
    times = _times(frames)
    assert all(a < b for a, b in itertools.pairwise(times))
    assert all(time_s >= arrived_s - 10.0 - 1e-6 for time_s, (arrived_s, _) in zip(times, frames, strict=True))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("burst_s", [4, 12, 20, 40])
def test_the_frames_of_long_bursts_are_nearly_all_due_from_the_first_burst_on(burst_s: int, restarts: bool) -> None:
    """A reader that is held up: the frames of a burst are read as fast as they are analysed, without a wait."""
    clock, sampler, due, at = StreamClock(), Sampler(10.0), 0, 0.0
    for number in range(6 * 10 * burst_s):
        burst, place = divmod(number, 10 * burst_s)
        waited_s = 0.001 if place else max(0.001, burst * burst_s - at)
        at += waited_s + 0.03
        time_s = clock.time_of(at, (place if restarts else number) / 10, waited_s)
        if sampler.due(time_s):
            sampler.take(time_s)
            due += 1
    assert due >= 0.9 * 6 * 10 * burst_s
