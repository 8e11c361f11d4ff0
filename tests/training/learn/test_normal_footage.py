"""Normal footage is read by the rules of a live camera: at its rate, without frames that it would not score."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import UsageError
from monitor.testing.fakes import Shown, ShownSource
from monitor.types import Image
from tests.helpers.normal_street import SIZE
from training.learn.normal_footage import read_normal
from training.learn.suitability import check_suitable
from training.progress import Report

QUIET = Report(quiet=True)
GROUND = np.random.default_rng(0).integers(40, 160, (SIZE[1], SIZE[0], 3), np.uint8)


def busy(number: int) -> Image:
    """A textured scene through which a bright block moves."""
    image = GROUND.copy()
    x = number % (SIZE[0] - 20)
    image[30:50, x : x + 20] = 230
    return image


def footage(frames: int, fps: float = 10.0, **odd: Image) -> ShownSource:
    """Busy frames. ``from_N``: this picture from frame N on. ``to_N``: busy again from frame N on."""
    shown = []
    image: Image | None = None
    for number in range(frames):
        image = odd.get(f"from_{number}", image)
        if f"to_{number}" in odd:
            image = None
        shown.append(Shown(number / fps, busy(number) if image is None else image))
    return ShownSource(shown, fps)


def test_frames_that_a_live_camera_would_not_score_are_left_out_and_counted() -> None:
    black = np.zeros_like(GROUND)
    read = read_normal([footage(300, from_100=black, to_150=black)], QUIET)
    assert len(read.stretches) == 2, "frames after a pause are a separate stretch"
    assert {"dark", "scene_change"} <= set(read.unscored), "black, and then the change of the light"
    assert read.frames + sum(read.unscored.values()) == 300
    dark = {frame.time_s for stretch in read.stretches for frame in stretch if frame.image.max() < 10}
    assert len(dark) < 25, "only until it counts as dark"


def test_footage_of_a_frozen_camera_is_refused_with_what_was_left_out() -> None:
    read = read_normal([footage(300, from_20=busy(20))], QUIET)
    assert read.unscored["frozen"] > 200
    with pytest.raises(UsageError, match=r"only [0-9.]+ s of this footage are suitable .*\([0-9]+ frames frozen"):
        check_suitable(read)


@pytest.mark.parametrize(("rate", "frames"), [(10.0, 300), (5.0, 150), (0.0, 300)])
def test_footage_is_read_at_the_rate_at_which_the_camera_is_watched(rate: float, frames: int) -> None:
    assert read_normal([footage(300)], QUIET, analysis_fps=rate).frames == frames


@pytest.mark.parametrize("step_s", [0.5, 1.2, 5.0])
def test_a_slow_camera_gives_footage_without_a_gap_at_each_frame(step_s: float) -> None:
    slow = ShownSource([Shown(number * step_s, busy(number)) for number in range(60)], 25.0)
    read = read_normal([slow], QUIET)
    assert len(read.stretches) == 1
    assert read.footage_s > 55 * step_s


@pytest.mark.parametrize(("from_s", "to_s", "part"), [(99.0, np.inf, " from 99 s"), (98.0, 99.0, " from 98 s to 99 s")])
def test_a_part_after_the_end_is_named(from_s: float, to_s: float, part: str) -> None:
    with pytest.raises(UsageError, match=f"contains no frame{part}: "):
        read_normal([footage(30)], QUIET, from_s=from_s, to_s=to_s)
