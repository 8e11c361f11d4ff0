"""Which detectors judge a camera: a camera that no detector judges is not watched, whatever the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.judging.judged_time import LIMITED_AFTER_S, UNSCORED_AFTER_S, JudgedTime
from monitor.states import CameraState
from monitor.types import Frame, Health

NAMES = ("motion", "scene")
NAN = math.nan
IMAGE = np.zeros((2, 2, 3), np.uint8)
GOOD, DARK, CORRUPTED = Health(), Health(CameraState.DARK, "black", scored=False), Health(scored=False)


def _frame(time_s: float, segment: int = 0, health: Health = GOOD) -> Frame:
    return Frame("cam", 0, time_s, IMAGE, segment, health=health)


def _watched(
    step_s: float, scores: Sequence[Sequence[float]], segments: Sequence[int] = (), health: Health = GOOD
) -> JudgedTime:
    watched = JudgedTime()
    for number, score in enumerate(scores):
        segment = segments[number] if segments else 0
        watched.take(_frame(number * step_s, segment, health), NAMES, score)
    return watched


@pytest.mark.parametrize("step_s", [0.1, 0.6, 1.0, 2.0])
def test_frames_that_no_detector_judges_are_not_watched(step_s: float) -> None:
    watched = _watched(step_s, [(NAN, NAN)] * (round(12 / step_s) + 1))
    assert watched.now.nothing
    assert watched.unscored_s == pytest.approx(12)
    assert watched.watched_s == pytest.approx(12)
    assert ("s apart" in watched.now.why) is (step_s > 0.3)


def test_a_start_without_judgement_is_nothing_unusual() -> None:
    watched = _watched(0.1, [(NAN, NAN)] * 20 + [(0.1, NAN)] * 20)
    assert (watched.now.nothing, watched.unscored_s) == (False, 0.0)


def test_judgement_ends_the_state_and_the_time_stays_counted() -> None:
    watched = _watched(1.0, [(0.1, NAN)] * 3 + [(NAN, NAN)] * 8 + [(0.1, NAN)] * 3)
    assert not watched.now.nothing
    assert watched.unscored_s == pytest.approx(8)


def test_one_detector_that_never_judges_is_named_and_the_others_go_on() -> None:
    watched = _watched(1.0, [(NAN, 0.1)] * 40)
    assert (watched.now.nothing, watched.now.silent) == (False, ("motion",))
    assert "1.0 s apart" in watched.now.why
    assert watched.unscored_s == 0.0
    assert LIMITED_AFTER_S > 20, "scene waits up to 20 s for the light to settle"


def test_segments_that_start_again_and_again_are_the_reason() -> None:
    watched = _watched(0.1, [(NAN, NAN)] * 100, segments=range(100))
    assert "starts anew" in watched.now.why


def test_corrupted_frames_for_seconds_are_not_watched() -> None:
    watched = _watched(0.1, [(NAN, NAN)] * 100, health=CORRUPTED)
    assert watched.now.nothing
    assert "corrupted" in watched.now.why


def test_a_paused_camera_has_its_own_state() -> None:
    watched = _watched(0.1, [(NAN, NAN)] * 100, health=DARK)
    assert (watched.now.nothing, watched.unscored_s) == (False, 0.0)
    watched.take(_frame(20.0, 1), NAMES, (NAN, NAN))
    assert not watched.now.nothing, "detectors may start again"


def test_the_time_a_camera_was_lost_is_not_counted() -> None:
    watched = JudgedTime()
    watched.take(_frame(0.0), NAMES, (NAN, NAN))
    watched.take(_frame(3600.0, 1), NAMES, (NAN, NAN))
    assert watched.watched_s < UNSCORED_AFTER_S


def test_another_model_starts_with_its_own_detectors() -> None:
    watched = _watched(1.0, [(NAN, 0.1)] * 40)
    watched.take(_frame(41.0), ("brightness",), (0.1,))
    assert watched.now.silent == ()


def test_the_sentence_stays_the_same_while_the_state_lasts() -> None:
    watched, said, time_s = JudgedTime(), set(), 0.0
    for number in range(200):
        time_s += 1.0 + 0.3 * (number % 7)
        watched.take(_frame(time_s), NAMES, (NAN, NAN))
        if watched.now.nothing:
            said.add(watched.now.why)
    assert len(said) == 1


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 20),
            st.sampled_from([0.1, NAN]),
            st.sampled_from([0.1, NAN]),
            st.booleans(),
            st.sampled_from([GOOD, DARK, CORRUPTED]),
        ),
        max_size=60,
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_comes_unscored_time_is_part_of_the_watched_time(
    frames: list[tuple[float, float, float, bool, Health]],
) -> None:
    watched, time_s, segment = JudgedTime(), 0.0, 0
    for step_s, first, second, anew, health in frames:
        time_s, segment = time_s + step_s, segment + anew
        scores = (first, second) if health.scored else (NAN, NAN)
        watched.take(_frame(time_s, segment, health), NAMES, scores)
        assert 0 <= watched.unscored_s <= watched.watched_s + 1e-9 <= time_s + 1e-6
        judged = any(not math.isnan(score) for score in scores)
        assert not (judged and watched.now.nothing)
        assert set(watched.now.silent) <= {n for n, s in zip(NAMES, scores, strict=True) if math.isnan(s)}
        assert bool(watched.now.why) is (watched.now.nothing or bool(watched.now.silent))
