from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.errors import CaptureError
from monitor.sources.source import Position, Reader, Source
from monitor.states import CameraState
from monitor.testing.fakes import Brightness, LevelSource
from monitor.types import Detection, Health, Image
from training.evaluate.analysis import Account, analyse, medians
from training.evaluate.corrupt import CorruptedSource, Corruption
from training.evaluate.joined_recordings import Joined
from training.scoring import score_source


class Inverted:
    """A check that turns pictures over and refuses dark ones, to see that it is asked."""

    def __init__(self) -> None:
        self.resets = 0

    def update(self, time_s: float, image: Image) -> tuple[Health, Image]:
        del time_s
        if image.mean() < 50:
            return Health(CameraState.DARK, "too dark", scored=False), image
        return Health(), 255 - image

    def reset(self) -> None:
        self.resets += 1


class Counting(Brightness):
    """Remembers every frame that it was asked about."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.batches = 0

    def score(self, batch: list[Observation]) -> list[Detection]:  # type: ignore[override]
        self.seen += [observation.frame.index for observation in batch]
        self.batches += 1
        return super().score(batch)


class Breaking(LevelSource):
    """Breaks off after three frames."""

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


def test_check_may_change_what_detectors_see_and_keep_it_from_them() -> None:
    detector, check, account = Counting(), Inverted(), Account()
    levels = [255] * 5 + [10] * 4 + [155] * 5
    found = list(analyse(LevelSource("a", levels), [detector], check=check, account=account))
    scores = [entry.scored.detections[0].score for entry in found]
    assert scores[:5] == [0.0] * 5
    assert all(math.isnan(score) for score in scores[5:9])
    assert scores[9:] == pytest.approx([100 / 255] * 5)
    assert detector.seen == [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]
    assert account.unscored == {"dark": 4}
    assert [entry.scored.frame.health.scored for entry in found] == [True] * 5 + [False] * 4 + [True] * 5
    assert check.resets == 1


def test_frames_come_in_order_and_few_wait_at_once() -> None:
    detector = Counting()
    frames = analyse(LevelSource("a", [9] * 100), [detector])
    taken = [next(frames).scored.frame.index for _ in range(10)]
    assert taken == list(range(10))
    assert len(detector.seen) == 16
    assert detector.batches == 2


def test_every_frame_is_noted_those_that_are_not_analysed_too() -> None:
    account = Account(keep_positions=True)
    found = list(analyse(LevelSource("a", [9] * 50), [Brightness()], per_s=10, account=account))
    assert 19 <= len(found) <= 21
    assert [position.index for position in account.positions] == list(range(50))
    assert set(medians([account])) == {"decode", "brightness"}


def test_difference_is_from_the_analysed_frame_before() -> None:
    found = list(analyse(LevelSource("a", [10, 20, 50]), [Brightness()]))
    assert [entry.difference for entry in found] == [0.0, 10.0, 30.0]
    assert found[0].change is None
    assert found[1].change is not None
    assert (found[1].change == 10).all()


def test_faults_come_before_everything_else() -> None:
    source = CorruptedSource(LevelSource("a", [100] * 200), Corruption(drop=0.5), "a")
    scores = score_source(source, [Brightness()])
    assert 60 < len(scores.index) < 140
    assert (np.diff(scores.index) > 1).any()


def test_recordings_in_a_row_are_one_stream_whose_state_goes_on() -> None:
    parts: list[Source] = [LevelSource("a", [1] * 30), LevelSource("b", [2] * 20), LevelSource("c", [3] * 10)]
    source = Joined(parts, lambda _: None)
    found = list(analyse(source, [Brightness()]))
    frames = [entry.scored.frame for entry in found]
    assert [frame.index for frame in frames] == list(range(60))
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx(1 / 25)
    assert {frame.segment for frame in frames} == {0}
    assert source.place(0.5) == ("test://a", 0.5)
    label, second = source.place(1.3)
    assert label == "test://b"
    assert second == pytest.approx(0.1)


def test_recording_that_breaks_off_is_named_and_the_next_begins_a_segment() -> None:
    told: list[str] = []
    source = Joined([Breaking("a", [1] * 30), LevelSource("b", [2] * 5)], told.append)
    found = [entry.scored.frame for entry in analyse(source, [Brightness()])]
    assert told == ["it broke off"]
    assert [frame.segment for frame in found] == [0] * 3 + [1] * 5
    assert source.place(found[-1].time_s)[0] == "test://b"
