"""Pictures of changing size: a change starts a segment, changes without end do not hide the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monitor.states import CameraState
from monitor.stream.frame_rules import Examined, FrameRules, RuleSettings
from monitor.stream.picture_size import Size

LARGE, SMALL, SQUARE = (64, 36), (32, 18), (40, 40)


def _taken(
    size_of: Callable[[int], Size], learned: Size | None = LARGE, step_s: float = 0.1, count: int = 60
) -> list[Examined]:
    rules = FrameRules(RuleSettings(), learned_size=learned)
    found = []
    for number in range(count):
        assert rules.arrive(number * step_s, 1 / step_s)
        width, height = size_of(number)
        found.append(rules.take(number * step_s, np.zeros((height, width, 3), np.uint8)))
    return found


@pytest.mark.parametrize("step_s", [0.04, 0.1, 1.0])
@pytest.mark.parametrize("period", [1, 2, 3])
def test_sizes_that_alternate_do_not_start_a_segment_each_time(period: int, step_s: float) -> None:
    taken = _taken(lambda number: (LARGE, SMALL)[number // period % 2], step_s=step_s)
    segments = [frame.segment for frame in taken]
    longest = max(segments.count(segment) for segment in set(segments))
    assert longest >= (40 if period * step_s < 1.5 else period)
    assert {frame.health.state for frame in taken} == {CameraState.ONLINE}


def test_a_size_that_changes_now_and_then_starts_a_segment() -> None:
    taken = _taken(lambda number: (LARGE, SMALL)[number // 20 % 2], count=80, step_s=0.2)
    assert [frame.segment for frame in taken[::20]] == [0, 1, 2, 3]


@pytest.mark.parametrize("step_s", [0.04, 0.1, 1.0, 2.0])
def test_a_shape_that_alternates_with_the_learned_one_is_a_misfit_all_the_time(step_s: float) -> None:
    taken = _taken(lambda number: (LARGE, SQUARE)[number % 2], step_s=step_s)
    assert {frame.health.state for frame in taken[1:]} == {CameraState.MISFIT}
    assert not any(frame.health.scored for frame in taken[1:])


def test_frames_that_are_not_decoded_on_purpose_are_no_gap() -> None:
    rules, large = FrameRules(RuleSettings()), np.zeros((36, 64, 3), np.uint8)
    assert rules.arrive(0.0, 25.0)
    before = rules.take(0.0, large).segment
    assert not rules.arrive(1.0, 25.0, (0.88, 0.92, 0.96), spared=True)
    assert not rules.arrive(2.0, 25.0, (1.88, 1.92, 1.96), spared=True)
    assert rules.arrive(2.04, 25.0)
    assert rules.take(2.04, large).segment == before


def test_pictures_that_fit_again_for_a_second_are_scored_again() -> None:
    taken = _taken(lambda number: SQUARE if 10 <= number < 20 else LARGE)
    scored = [frame.health.scored for frame in taken]
    assert scored == [True] * 10 + [False] * 20 + [True] * 30
    assert taken[30].segment > taken[9].segment


def test_after_a_gap_or_with_another_model_pictures_that_fit_are_scored_at_once() -> None:
    rules = FrameRules(RuleSettings(), learned_size=LARGE)
    square, large = (np.zeros((height, width, 3), np.uint8) for width, height in (SQUARE, LARGE))
    assert not rules.take(0.0, square).health.scored
    rules.new_segment()
    assert rules.take(0.1, large).health.scored
    assert not rules.take(0.2, square).health.scored
    rules.watch_for(None, SQUARE)
    assert rules.take(0.3, square).health.scored


def test_shapes_that_alternate_without_a_learned_size_start_segments_so_that_nothing_is_compared() -> None:
    taken = _taken(lambda number: (LARGE, SQUARE)[number % 2], learned=None)
    assert [frame.segment for frame in taken] == list(range(60))


def test_a_pause_scores_nothing_and_its_end_starts_a_segment() -> None:
    rules = FrameRules(RuleSettings())
    found = []
    for number in range(30):
        if number in (10, 20):
            rules.use(RuleSettings(paused=number == 10))
        assert rules.arrive(number / 10, 10)
        found.append(rules.take(number / 10, np.zeros((36, 64, 3), np.uint8)))
    assert [frame.health.scored for frame in found] == [True] * 10 + [False] * 10 + [True] * 10
    assert {frame.health.state for frame in found[10:20]} == {CameraState.PAUSED}
    assert [frame.segment for frame in found] == [0] * 20 + [1] * 10
