"""Footage to train on: which frames are read or held out, and which sources cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import UsageError
from monitor.sources.isolated.isolated_source import isolate
from tests.helpers.decoders import Dying
from tests.helpers.tiny_training import QUIET, scene, write_folder
from training.autoencoder.train_model import too_short
from training.autoencoder.training_clips import MANY_CLIPS, Clip, load_clips, network_input, split
from training.progress import Report
from training.recordings import recorded_sources


def test_frames_are_those_the_detector_sees() -> None:
    found = network_input(scene(0))
    assert found.shape == (3, 96, 96)
    assert found.dtype == np.uint8
    assert found[:, 0, 0].tolist() == [90, 90, 90]
    assert found[:, -1, 0].tolist() == [100, 80, 60]  # RGB from BGR


def clip(tmp_path: Path, name: str, n: int) -> Clip:
    source = recorded_sources([str(write_folder(tmp_path / name, range(2)))], split="training_videos")[0]
    return Clip(source, np.arange(n) / 25, np.zeros((n, 3, 96, 96), np.uint8))


def test_few_clips_give_their_tails_to_the_held_out_part(tmp_path: Path) -> None:
    found = split([clip(tmp_path, "a", 200), clip(tmp_path, "b", 100)], 0.15, 32)
    assert found.held_from_s == pytest.approx((170 / 25, 85 / 25))
    assert len(found.training()) == 255
    assert len(found.held_out()) == 45


def test_many_clips_are_held_out_whole(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"c{i}", 30) for i in range(MANY_CLIPS + 8)]
    found = split(clips, 0.15, 32)
    assert set(found.held_from_s) == {0.0, np.inf}
    assert len(found.held_out()) == 3 * 30
    assert [c.source.name for c in clips] != [s.name for s, _ in found.held_sources()]


def test_too_few_frames_says_how_many_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too few frames: 50 found, about 1\d\d are needed"):
        split([clip(tmp_path, "a", 50)], 0.15, 32)


def test_memory_is_bounded_by_leaving_out_every_second_frame(tmp_path: Path) -> None:
    sources = recorded_sources([str(write_folder(tmp_path / n, range(90))) for n in "ab"], split="training_videos")
    clips = load_clips(sources, frames_per_s=0, max_frames=100, report=QUIET)
    assert [np.diff(c.time_s).round(6).tolist() for c in clips] == [[0.08] * 44, [0.08] * 44]


def test_frames_are_sampled_at_the_recipe_s_rate(tmp_path: Path) -> None:
    source = recorded_sources([str(write_folder(tmp_path / "a", range(100)))], split="training_videos")
    (found,) = load_clips(source, frames_per_s=10, max_frames=1000, report=QUIET)
    assert len(found.frames) == 40  # 4 s of footage


def test_unreadable_images_are_named_and_skipped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "a", range(20))
    (folder / "frame_00007.png").write_bytes(b"no picture")
    (found,) = load_clips(
        recorded_sources([str(folder)], "training_videos"), frames_per_s=0, max_frames=1000, report=Report()
    )
    assert len(found.frames) == 19
    error = capfd.readouterr().err
    assert "skipped 1 unreadable frame of" in error
    assert "frame_00007.png" in error


def test_video_that_crashes_the_decoder_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = write_folder(tmp_path / "good", range(20))
    sources = [isolate(Dying(tmp_path / "bad.avi"), "process"), *recorded_sources([str(good)], "training_videos")]
    (found,) = load_clips(sources, frames_per_s=0, max_frames=1000, report=Report())
    assert found.source.label == str(good)
    error = capfd.readouterr().err
    assert "the decoder died (SIGKILL)" in error
    assert "1 of 2 sources skipped" in error


def test_footage_of_which_nothing_can_be_read_is_one_sentence(tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        (tmp_path / name).write_bytes(b"no video")
    sources = recorded_sources([str(tmp_path)], "training_videos")
    with pytest.raises(UsageError, match=r"none of 2 sources can be read \(.*a\.avi is not a video"):
        load_clips(sources, frames_per_s=0, max_frames=1000, report=QUIET)


def test_lengths_of_footage_are_told_apart(tmp_path: Path) -> None:
    found = split([clip(tmp_path, "a", 200), clip(tmp_path, "b", 100)], 0.15, 32)
    assert found.lengths_s() == pytest.approx(((169 + 84) / 25, (29 + 14) / 25))


def test_too_little_footage_is_said_in_terms_of_false_alarms() -> None:
    warning = too_short(51, 9)
    assert warning is not None
    assert "1 min of footage is too short" in warning
    assert "fewer than one false alarm per 9 s" in warning
    assert "at least 10 min in total" in warning
    assert too_short(510, 90) is None
