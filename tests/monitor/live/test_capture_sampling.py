"""Which frames of a source are analysed. The others are never decoded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.live.load_control import Relief
from monitor.stream.frame_timing import Sampler
from monitor.testing.scripted import FAST, Clock, Run, ScriptedReader, ScriptedSource, Step, recorded, shots, times


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


@pytest.mark.parametrize(("slower", "steps"), [(10.0, [0.1]), (8.0, [0.12, 0.16]), (5.0, [0.2]), (2.0, [0.5])])
def test_a_slower_sampler_continues_and_returns_to_its_rate(slower: float, steps: list[float]) -> None:
    sampler, chosen = Sampler(10.0), []
    for number in range(750):
        if number in (250, 500):
            sampler.slow(slower if number == 250 else None)
        if sampler.due(number / 25):
            sampler.take(number / 25)
            chosen.append(number / 25)
    slow = [b - a for a, b in itertools.pairwise(chosen) if a >= 11.0 and b <= 19.0]
    assert sum(slow) / len(slow) == pytest.approx(1 / slower, rel=0.05)
    assert sum(1 for time_s in chosen if time_s >= 20.5) == pytest.approx(95, abs=1)
    assert max(slow) <= max(steps) + 0.041


@pytest.mark.parametrize(
    ("analysis_fps", "relief", "sparing", "expected"),
    [
        (10.0, Relief(0.5), True, 5.0),
        (10.0, Relief(0.9, 0.5), True, 9.0),
        (10.0, Relief(0.9, 0.5), False, 4.5),
        (10.0, Relief(0.2, 0.1), False, 2.0),
        (0.0, Relief(0.4), True, 10.0),
        (1.0, Relief(0.2, 0.1), True, 1.0),
    ],
)
def test_a_live_camera_gives_up_what_it_is_told_and_takes_it_back(
    analysis_fps: float, relief: Relief, sparing: bool, expected: float
) -> None:
    asked: list[float] = []

    class Sparing(ScriptedReader):
        def __init__(self, source: ScriptedSource, script: Sequence[Step]) -> None:
            super().__init__(source, script)
            self.sparing = sparing

        def spare(self, share: float) -> None:
            asked.append(share)

    class Camera(ScriptedSource):
        def open(self) -> ScriptedReader:
            self.opened += 1
            if self.opened > 1:
                run.stop.set()
            return Sparing(self, script if self.opened == 1 else [])

    def give_up(what: Relief) -> None:
        run.capture.relief = what

    script: list[Step] = [*shots(10.0), lambda: give_up(relief), *shots(20.0, start_s=10.0), lambda: give_up(Relief())]
    script += shots(10.0, start_s=30.0)
    source = Camera([], live=True, clock=Clock())
    run = Run(source, replace(FAST, analysis_fps=analysis_fps))
    sink = run.run()
    begin = times(sink)[0]
    came = [time_s - begin for time_s in times(sink)]
    assert sum(1 for time_s in came if 11.0 <= time_s < 29.0) == pytest.approx(18 * expected, abs=2)
    full = analysis_fps or 25.0
    assert sum(1 for time_s in came if time_s < 9.0) == pytest.approx(9 * full, abs=1)
    assert sum(1 for time_s in came if 31.0 <= time_s < 39.0) == pytest.approx(8 * full, abs=1)
    assert {frame.segment for frame in sink.frames} == {0}
    assert asked[:3] == [1.0, relief.decoded, 1.0]


def test_a_file_gives_up_nothing() -> None:
    run = Run(recorded(shots(2.0)))
    run.capture.relief = Relief(0.2, 0.1)
    assert len(run.run().frames) == 50
