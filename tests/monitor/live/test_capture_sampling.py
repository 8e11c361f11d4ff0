"""Which frames of a source are analysed. The others are never decoded."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.stream.frame_timing import Sampler
from monitor.testing.scripted import FAST, Run, recorded, shots, times


def sampled(frame_times: list[float], fps: float) -> list[float]:
    sampler, chosen = Sampler(fps), []
    for time_s in frame_times:
        if sampler.due(time_s):
            sampler.take(time_s)
            chosen.append(time_s)
    return chosen


@pytest.mark.parametrize(
    ("source_fps", "analysis_fps", "steps"),
    [
        (25, 10, [3, 2, 3, 2]),
        (25, 5, [5]),
        (25, 25, [1]),
        (25, 0, [1]),
        (25, 60, [1]),
        (30, 10, [3]),
        (29.97, 10, [3]),
        (10, 4, [3, 2, 3, 2]),
    ],
)
@pytest.mark.parametrize("rounded_to", [None, 3])
def test_sampling_gives_a_steady_pattern(
    source_fps: float, analysis_fps: float, steps: list[int], rounded_to: int | None
) -> None:
    frame_times = [number / source_fps for number in range(400)]
    if rounded_to is not None:  # containers that store only milliseconds
        frame_times = [round(time_s, rounded_to) for time_s in frame_times]
    chosen = [frame_times.index(time_s) for time_s in sampled(frame_times, analysis_fps)]
    expected = itertools.accumulate(itertools.cycle(steps), initial=0)
    assert chosen[:80] == list(itertools.islice(expected, len(chosen[:80])))


@given(
    st.lists(st.floats(1e-3, 2.0), min_size=1, max_size=200),
    st.floats(0.1, 100.0),
)
def test_sampling_never_passes_its_rate_by_more_than_two_frames(steps: list[float], fps: float) -> None:
    frame_times = list(itertools.accumulate(steps, initial=0.0))
    chosen = sampled(frame_times, fps)
    assert chosen[0] == 0.0
    for first, later in itertools.combinations(range(len(chosen)), 2):
        assert later - first <= (chosen[later] - chosen[first]) * fps + 2.06


@given(st.floats(1.0, 60.0), st.floats(0.02, 1.0))
def test_sampling_a_regular_source_keeps_its_rate(source_fps: float, part: float) -> None:
    frame_times = [number / source_fps for number in range(300)]
    assert len(sampled(frame_times, part * source_fps)) == pytest.approx(300 * part, abs=2)


@given(st.lists(st.floats(-0.019, 0.019), min_size=100, max_size=100))
def test_jitter_of_a_live_camera_costs_one_frame_at_most(jitter: list[float]) -> None:
    frame_times = [number / 25.0 + late for number, late in enumerate(jitter)]
    assert len(sampled(frame_times, 25.0)) >= 99


def test_frames_that_are_not_due_are_never_decoded() -> None:
    source = recorded(shots(2.0))
    sink = Run(source, replace(FAST, analysis_fps=10.0)).run()
    assert len(sink.frames) == 20
    assert times(sink)[:5] == [0.0, 0.12, 0.2, 0.32, 0.4]
    assert source.readers[0].retrieved == 20
