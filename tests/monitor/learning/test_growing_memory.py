"""A memory that grows: after a delay, never with alarms, in bounded memory, and with held-out scores for thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.motion.motion_detector import Motion
from monitor.errors import UsageError
from monitor.learning.growing_memory import GrowingMemory
from monitor.types import Frame
from tests.helpers.gliding import clip
from tests.helpers.growing import DELAY_S, Stream, grown_memory, hurried, runner, slow_walker, usual


def highest(memory: GrowingMemory, frames: list[Frame]) -> float:
    """The highest score that the detector of a memory gives these frames."""
    motion = memory.make().detectors["motion"]
    stream = motion.new_stream()
    return max(s for f in frames[2:] if (s := motion.score([Observation(f, stream)])[0].score) == s)


def blocks(memory: GrowingMemory) -> set[int]:
    """The blocks of time that are known."""
    return set(np.unique(memory.cells.coverage.block).tolist())


def test_what_was_watched_enters_after_the_delay_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)
    memory = GrowingMemory(slow_walker())
    learned = blocks(memory)
    stream = Stream(memory)
    stream.show(usual(20.5))
    stream.show(runner(3))
    stream.show(usual(20))
    assert 4 not in blocks(memory)
    stream.show(usual(12))
    assert 4 in blocks(memory)
    assert learned <= blocks(memory), "what the first version knew stays"
    assert 0 < memory.known_s.sum() <= memory.watched_s - DELAY_S


def test_an_alarm_never_enters(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = grown_memory(monkeypatch)
    assert highest(memory, runner(3)) > 2 * highest(memory, usual(3))


def test_the_scores_of_an_alarm_are_cut_off_at_the_highest_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = grown_memory(monkeypatch)
    held = memory.make().held_out
    alarm = (held.time_s > 8) & (held.time_s < 19)
    assert np.nanmax(held.scores["motion"][alarm]) <= np.nanmax(held.scores["motion"][~alarm])
    assert np.isfinite(held.scores["static"]).all(), "live scores of detectors that do not grow are held out, too"
    assert np.isnan(held.scores["motion"][0]), "the first frame cannot be compared"
    assert (np.diff(held.clip) == 0).all()
    assert held.duration_s() == pytest.approx(30, abs=1), "the last frames are not settled"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)
    memory = GrowingMemory(slow_walker(), most_bytes=400_000)
    stream = Stream(memory)
    stream.show(usual(90))
    assert sum(piece.nbytes for piece in memory.held.pieces) <= 400_000
    assert memory.held.every > 1
    assert len(memory.waiting) <= 1 + (DELAY_S + 15) / 5
    spread = [piece.times[0] for piece in memory.held.pieces]
    assert min(spread) < 20 < 50 < max(spread), "a part of each time is kept"


def test_versions_are_due_in_a_calm_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, 10.0, 30.0)
    memory = GrowingMemory(slow_walker())
    stream = Stream(memory)
    stream.show(usual(12))
    assert not memory.due, "something moves"
    stream.show(clip(0, 11))
    assert memory.due
    memory.make()
    assert not memory.due
    assert memory.due_s == 30.0
    memory.made = 2
    assert memory.due_s == 30.0 + DELAY_S, "then every day"


def test_a_gap_or_a_clock_that_jumps_is_not_time_that_was_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)
    memory = GrowingMemory(slow_walker())
    stream = Stream(memory)
    stream.show(usual(10))
    stream.at_s = 700_000.0
    stream.show(usual(10))
    stream.at_s = 5.0
    stream.show(usual(30))
    assert memory.watched_s == pytest.approx(50, abs=0.5)
    assert len(np.unique(memory.make().held_out.clip)) == 3


def test_a_camera_that_was_moved_for_good_begins_anew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)
    monkeypatch.setattr("monitor.learning.growing_memory._MOVED_S", 5.0)
    memory = GrowingMemory(slow_walker())
    stream = Stream(memory)
    stream.show(usual(30))
    stream.show(usual(4), moved=True)
    assert memory.notes == []
    stream.show(usual(20), moved=True)
    assert len(memory.notes) == 1
    assert memory.watched_s < 20
    assert not memory.cells.coverage.counts.any(), "nothing of the old view is known"
    stream.show(usual(20))
    stream.show(usual(6), moved=True)
    assert len(memory.notes) == 2, "it was moved again"


def test_a_camera_too_slow_to_follow_movement_is_refused() -> None:
    slow = Motion.fit([clip(30, 200, rate=0.5)])
    with pytest.raises(UsageError, match="too far apart"):
        GrowingMemory(slow)


def test_a_memory_in_which_nothing_moved_gives_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, 10.0)
    memory = GrowingMemory(slow_walker())
    Stream(memory).show(clip(0, 30))
    with pytest.raises(UsageError, match="nothing has moved"):
        memory.make()
    assert not memory.due, "it is tried again when the next one is due"
