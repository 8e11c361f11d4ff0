from __future__ import annotations

from pathlib import Path

import pytest

from monitor.sources.opencv import FALLBACK_FPS
from tests.helpers.tiny_training import write_folder
from training.learn.recording import footage_of
from training.progress import Report


@pytest.mark.parametrize("fps", [None, 5.0])
def test_images_play_at_the_rate_that_is_given(tmp_path: Path, fps: float | None) -> None:
    folder = write_folder(tmp_path / "images", range(4))
    rate = {} if fps is None else {"fps": fps}
    (source,) = footage_of([str(folder)], tmp_path / "none", 1.0, Report(quiet=True), 10.0, **rate)
    with source.open() as reader:
        assert reader.fps == (fps or FALLBACK_FPS)
        times = []
        while (position := reader.grab()) is not None:
            times.append(position.time_s)
    assert times == pytest.approx([number / (fps or FALLBACK_FPS) for number in range(4)])
