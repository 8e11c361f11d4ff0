"""Motion learned from every frame: what happens once in hours is known, and each block is scored by the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.detector.base import Observation
from monitor.detector.motion import whole_motion
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.motion.whole_motion import WholeMotion
from monitor.errors import UsageError
from monitor.types import Frame
from tests.helpers.gliding import clip, ground


def later(frames: list[Frame], by_s: float) -> list[Frame]:
    return [replace(frame, time_s=frame.time_s + by_s) for frame in frames]


def scores(detector: Motion, frames: list[Frame]) -> NDArray[np.float64]:
    stream = detector.new_stream()
    return np.array([detector.score([Observation(frame, stream)])[0].score for frame in frames])


@pytest.fixture(scope="module")
def base() -> Motion:
    """Learned from a sample that holds slow movement only."""
    return Motion.fit([clip(30, 6)])


def fed(base: Motion, parts: list[list[Frame]], blocks: list[int]) -> WholeMotion:
    whole = WholeMotion(base)
    for frames, block in zip(parts, blocks, strict=True):
        for i, frame in enumerate(frames):
            whole.take(frame, block, fresh=i == 0)
    return whole


def test_what_happens_once_is_known_though_no_sample_holds_it(base: Motion) -> None:
    fast = clip(90, 3, row=60)
    learned, _ = fed(base, [clip(30, 6), fast, clip(30, 6, 40)], [0, 1, 2]).finish()
    assert np.nanmax(scores(learned, fast)) < 0.6 * np.nanmax(scores(base, fast))
    assert np.nanmedian(scores(learned, clip(30, 6, 20))) < 1.0


def test_a_block_is_scored_by_what_the_other_blocks_know(base: Motion) -> None:
    usual, fast = clip(30, 6), clip(90, 3, row=60)
    _, alone = fed(base, [usual, fast, usual], [0, 1, 2]).finish()
    _, known = fed(base, [usual, fast, usual, fast], [0, 1, 2, 3]).finish()
    only = alone[len(usual) : len(usual) + len(fast)]
    both = known[len(usual) : len(usual) + len(fast)]
    assert len(alone) == 2 * len(usual) + len(fast)
    assert np.isnan(alone[0]), "the first frame cannot be compared"
    unknown = np.nanmedian(only) / np.nanmedian(alone[: len(usual)])
    assert unknown > 1.1 * np.nanmedian(both) / np.nanmedian(known[: len(usual)]), "another block has seen it"


def test_scores_of_frames_are_those_of_the_detector(base: Motion) -> None:
    """With the same footage in two blocks, nothing is left out."""
    usual = clip(30, 6)
    learned, held_out = fed(base, [usual, usual], [0, 1]).finish()
    assert np.allclose(held_out[: len(usual)], scores(learned, usual), atol=0.05, equal_nan=True)


def test_memory_is_bounded_and_pieces_that_are_dropped_are_not_held_out(
    base: Motion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_motion, "_PIECE_FRAMES", 20)
    monkeypatch.setattr(whole_motion, "MOST_CELLS", 1500)
    learned, held_out = fed(base, [clip(30, 6), later(clip(30, 6, 7), 20)], [0, 1]).finish()
    assert 0 < np.isfinite(held_out).mean() < 0.6
    assert np.nanmedian(scores(learned, clip(30, 6))) < 1.5


def test_footage_in_which_nothing_moves_is_refused(base: Motion) -> None:
    still = [Frame("a", i, i / 10, np.repeat(ground()[:, :, None], 3, axis=2)) for i in range(30)]
    with pytest.raises(UsageError, match="nothing moves"):
        fed(base, [still], [0]).finish()


def test_it_survives_storage(base: Motion) -> None:
    learned, _ = fed(base, [clip(30, 6)], [0]).finish()
    again = Motion.load(learned.settings(), learned.tensors(), "cpu")
    frames = clip(90, 2)
    assert np.array_equal(scores(learned, frames), scores(again, frames), equal_nan=True)
