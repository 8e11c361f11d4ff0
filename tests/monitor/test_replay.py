"""Recorded footage through the chain: which frames are analysed, scored, counted and judged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.errors import CaptureError
from monitor.judging.scorer import Bare
from monitor.replay import ReplayLog, frames, medians, replay, score_frames, scored
from monitor.sources.source import Position, Reader, Source
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.stream.health.health_settings import HealthSettings
from monitor.testing.fakes import Brightness, LevelSource, brightness_model, monitor_of
from monitor.types import Detection, Image
from training.evaluate.corrupt import CorruptedSource, Corruption
from training.evaluate.frame_difference import FrameDifference
from training.evaluate.joined_recordings import Joined

EVERY = RuleSettings()
CHECKED = RuleSettings(health=HealthSettings(dark_after_s=0.0, flat_spread=0.0, frozen=False, scene_change=False))


class Counting(Brightness):
    """Records every frame that it scores."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.batches = 0

    def score(self, batch: list[Observation]) -> list[Detection]:  # type: ignore[override]
        self.seen += [observation.frame.index for observation in batch]
        self.batches += 1
        return super().score(batch)


class Breaking(LevelSource):
    """Fails after three frames."""

    def open(self) -> Reader:
        return _BreakingReader(super().open())


class _BreakingReader(Reader):
    fps = 25.0

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._left = 3

    def grab(self) -> Position | None:
        if not self._left:
            raise CaptureError("it broke off")
        self._left -= 1
        return self._inner.grab()

    def retrieve(self) -> Image | None:
        return self._inner.retrieve()


def test_frames_that_are_not_worth_scoring_reach_no_detector_and_start_a_segment_after_them() -> None:
    detector, log = Counting(), ReplayLog()
    source = LevelSource("a", [200] * 5 + [1] * 4 + [155] * 41)
    found = list(scored(frames(source, FrameRules(CHECKED), log=log), Bare((detector,)), log))
    scores = [each.detections[0].score for each in found]
    dark = 4 + 25  # also for one second after the dark
    assert all(math.isnan(score) for score in scores[5 : 5 + dark])
    assert scores[5 + dark :] == pytest.approx([155 / 255] * (41 - 25))
    assert detector.seen == [*range(5), *range(5 + dark, 50)]
    assert log.unscored == {"dark": dark}
    assert [each.frame.health.scored for each in found] == [True] * 5 + [False] * dark + [True] * 16
    assert [each.frame.segment for each in found] == [0] * (5 + dark) + [1] * 16


def test_frames_come_in_order_and_few_wait_at_once() -> None:
    detector = Counting()
    stream = scored(frames(LevelSource("a", [9] * 100), FrameRules(EVERY)), Bare((detector,)))
    taken = [next(stream).frame.index for _ in range(10)]
    assert taken == list(range(10))
    assert len(detector.seen) == 16
    assert detector.batches == 2


def test_every_frame_is_noted_those_that_are_not_analysed_too() -> None:
    log = ReplayLog(keep_positions=True)
    rules = FrameRules(RuleSettings(analysis_fps=10))
    found = list(scored(frames(LevelSource("a", [9] * 50), rules, log=log), Bare((Brightness(),)), log))
    assert 19 <= len(found) <= 21
    assert [position.index for position in log.positions] == list(range(50))
    assert list(medians([log])) == ["decode", "health", "brightness"]


@pytest.mark.parametrize("noted", [False, True])
def test_a_part_of_a_source_is_replayed_and_frames_that_are_not_wanted_are_never_decoded(noted: bool) -> None:
    rules, log = FrameRules(RuleSettings(analysis_fps=5)), ReplayLog(keep_positions=noted)
    part = frames(LevelSource("a", [9] * 250), rules, from_s=2.0, to_s=6.0, wanted=lambda time_s: time_s > 4.0, log=log)
    times = [frame.time_s for frame in part]
    assert times[0] == pytest.approx(4.2, abs=0.05)
    assert times[-1] == pytest.approx(6.0, abs=0.05)
    assert len(log.timings()["decode"]) == len(times) == 10
    assert len(list(frames(LevelSource("a", [9] * 250), FrameRules(EVERY), limit=7))) == 7


def test_difference_is_from_the_analysed_frame_before() -> None:
    difference = FrameDifference()
    found = [difference.update(frame) for frame in frames(LevelSource("a", [10, 20, 50]), FrameRules(EVERY))]
    assert [mean for mean, _ in found] == [0.0, 10.0, 30.0]
    assert found[0][1] is None
    assert found[1][1] is not None
    assert (found[1][1] == 10).all()


def test_faults_come_before_everything_else() -> None:
    source, log = CorruptedSource(LevelSource("a", [100] * 200), Corruption(drop=0.5), "a"), ReplayLog()
    index = [frame.index for frame in frames(source, FrameRules(EVERY), log=log)]
    assert 60 < len(index) < 140
    assert (np.diff(index) > 1).any()


def test_recordings_in_a_row_are_one_stream_whose_state_goes_on() -> None:
    parts: list[Source] = [LevelSource("a", [1] * 30), LevelSource("b", [2] * 20), LevelSource("c", [3] * 10)]
    source = Joined(parts, lambda _: None)
    found = list(frames(source, FrameRules(EVERY)))
    assert [frame.index for frame in found] == list(range(60))
    assert np.diff([frame.time_s for frame in found]) == pytest.approx(1 / 25)
    assert {frame.segment for frame in found} == {0}
    assert source.place(0.5) == ("test://a", 0.5)
    label, second = source.place(1.3)
    assert label == "test://b"
    assert second == pytest.approx(0.1)


def test_recording_that_breaks_off_is_named_and_the_next_begins_a_segment() -> None:
    told: list[str] = []
    source = Joined([Breaking("a", [1] * 30), LevelSource("b", [2] * 5)], told.append)
    found = list(frames(source, FrameRules(EVERY)))
    assert told == ["it broke off"]
    assert [frame.segment for frame in found] == [0] * 3 + [1] * 5
    assert source.place(found[-1].time_s)[0] == "test://b"


def test_a_replay_judges_every_frame_and_says_what_each_detector_said() -> None:
    source, monitor = LevelSource("a", [25] * 50 + [200] * 50), monitor_of("a")
    found = list(replay(source, brightness_model(), monitor, EVERY))
    assert len(found) == 100
    assert [alert.event.phase for judgement in found for alert in judgement.alerts] == ["start"]
    assert [alert.event.phase for alert in monitor.close()] == ["end"]
    assert found[-1].by_detector == pytest.approx((200 / 255,))
    assert found[-1].scale is monitor.scale
    raw = score_frames(frames(source, FrameRules(EVERY)), Brightness())
    assert raw == pytest.approx([25 / 255] * 50 + [200 / 255] * 50)
