"""Footage to learn from is thinned evenly and read only once."""

import numpy as np
import pytest

from monitor.detector.grey_pictures import EvenSample, Stretch, grey_pictures
from monitor.errors import UsageError
from monitor.types import Frame

_PICTURE = np.zeros((8, 8), np.uint8)


def _filled(sample: EvenSample, clips: list[list[float]]) -> list[list[float]]:
    for number, times in enumerate(clips):
        for time_s in times:
            sample.add(number, time_s, _PICTURE)
    return [_times(stretch) for stretch in sample.stretches()]


def _times(stretch: Stretch) -> list[float]:
    return [time_s for time_s, _ in stretch]


def test_short_footage_is_kept_whole_and_clip_by_clip() -> None:
    clips = [[0.0, 0.1, 5.0, 9.9], [0.0, 0.1], [3.0]]
    assert _filled(EvenSample(most=7, stretch_s=1.0), clips) == clips


def test_long_footage_leaves_whole_stretches_spread_evenly() -> None:
    kept = _filled(EvenSample(most=100, stretch_s=2.0), [[i / 10 for i in range(6000)]])
    assert 50 <= sum(len(times) for times in kept) <= 100
    assert [len(times) for times in kept] == [20] * len(kept)
    starts = [times[0] for times in kept]
    assert np.ptp(np.diff(starts)) == pytest.approx(0)
    assert starts[-1] > 400


def test_many_short_clips_are_thinned_like_one_long_one() -> None:
    kept = _filled(EvenSample(most=40, stretch_s=3.0), [[i / 10 for i in range(10)]] * 64)
    assert kept == [[i / 10 for i in range(10)]] * 4


def test_pictures_that_come_too_soon_are_left_out() -> None:
    kept = _filled(EvenSample(most=100, stretch_s=60.0, step_s=0.19), [[0.0, 0.1, 0.2, 0.25, 0.4], [0.0, 0.1]])
    assert kept == [[0.0, 0.2, 0.4], [0.0]]


def test_clips_are_gone_through_once_and_share_the_first_frame_s_size() -> None:
    def clip(width: int, height: int) -> list[Frame]:
        return [Frame("a", i, i / 10, np.zeros((height, width, 3), np.uint8)) for i in range(12)]

    pictures = list(grey_pictures(iter([iter(clip(640, 360)), iter([]), iter(clip(320, 240))]), "motion"))
    assert [number for number, _, _ in pictures] == [0] * 12 + [2] * 12
    assert {grey.shape for _, _, grey in pictures} == {(88, 160)}


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(UsageError, match="motion needs at least 20 frames of normal footage to learn from, got 0"):
        list(grey_pictures([], "motion"))
