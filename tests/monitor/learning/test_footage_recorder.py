"""Recording for learning goes on after the disk was full for a while; of a file, a gap would be learned from."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.learning import learning_words as words
from monitor.learning.coordinator import Learning
from monitor.learning.footage import FootageSource, FootageWriter
from monitor.learning.footage_recorder import RETRY_S, FootageRecorder
from monitor.learning.hold import Hold
from monitor.learning.learning_plan import LearningPlan
from monitor.states import CameraState
from monitor.testing.captured import eventually
from monitor.testing.scripted import Clock
from monitor.types import Frame, Health, Image, ScoredFrame
from tests.helpers.learners import never, resting_report


class FullDisk:
    """While ``full``, an error number, no picture can be written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full: int | None = None
        add = FootageWriter.add

        def refusing(writer: FootageWriter, time_s: float, image: Image) -> int:
            if self.full is not None:
                raise OSError(self.full, os.strerror(self.full))
            return add(writer, time_s, image)

        monkeypatch.setattr(FootageWriter, "add", refusing)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


def frame(time_s: float) -> Frame:
    return Frame("door", round(time_s * 10), time_s, np.full((24, 32, 3), round(time_s * 10) % 200, np.uint8), 0)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO, errno.ENOENT])
def test_a_camera_is_recorded_again_when_there_is_room(number: int, disk: FullDisk, tmp_path: Path) -> None:
    clock = Clock()
    recorder = FootageRecorder(tmp_path / "f", "door", 30.0, fps=10.0, live=True, clock=clock)
    for n in range(21):
        recorder.take(frame(n / 10))
    assert eventually(lambda: len(list((tmp_path / "f").glob("*/*.jpg"))) == 21, within_s=5)
    disk.full = number
    recorder.take(frame(2.1))
    assert eventually(lambda: bool(recorder.problem), within_s=5)
    assert recorder.problem == f"cannot record to {tmp_path / 'f'}: {os.strerror(number)}"
    assert recorder.error is None
    for n in range(22, 60):
        recorder.take(frame(n / 10))
    assert recorder.seen_s == pytest.approx(2.0), "what is not recorded does not count"
    disk.full = None
    clock.now += RETRY_S + 1
    for n in range(60, 81):
        recorder.take(frame(n / 10))
    recorder.close()
    assert recorder.problem == ""
    assert recorder.seen_s == pytest.approx(4.0)
    with FootageSource(tmp_path / "f").open() as reader:
        pictures = []
        while reader.grab() is not None:
            pictures.append(reader.retrieve())
    assert len(pictures) == 42
    assert all(picture is not None for picture in pictures), "no picture is half written"


def test_what_does_not_pass_and_a_file_end_the_recording(disk: FullDisk, tmp_path: Path) -> None:
    for name, number, live in (("a", errno.EACCES, True), ("b", errno.ENOSPC, False)):
        disk.full = number
        recorder = FootageRecorder(tmp_path / name, name, 30.0, fps=10.0, live=live)
        recorder.take(frame(0.0))
        recorder.close()
        assert recorder.error == f"cannot record to {tmp_path / name}: {os.strerror(number)}"


def test_the_user_is_told_when_recording_stops_and_continues(
    disk: FullDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "monitor")
    clock = Clock()
    learning = Learning((LearningPlan("door", "door", tmp_path / "door", 60.0, ("static",)),), never, clock)
    recorder = learning._learners["door"].recorder
    monotonic = recorder._clock
    recorder._clock = clock

    def tick() -> None:
        learning.tick(lambda _: CameraState.ONLINE, lambda *_: None)

    disk.full = errno.ENOSPC
    learning.take(ScoredFrame(frame(0.0), (), 0.0))
    assert eventually(lambda: bool(recorder.problem), within_s=5)
    tick()
    tick()
    shown = learning.amend(resting_report("door", CameraState.ONLINE))
    assert shown.state is CameraState.LEARNING
    assert shown.detail.endswith("No space left on device")
    disk.full = None
    clock.now += RETRY_S + 1
    learning.take(ScoredFrame(frame(31.0), (), 0.0))
    assert eventually(lambda: not recorder.problem, within_s=5)
    tick()
    assert [line for line in caplog.messages if "record" in line][-2:] == [
        f"door: cannot record to {tmp_path / 'door/footage'}: No space left on device; trying again every half minute",
        "door: normal footage is recorded again",
    ]
    recorder._clock = monotonic
    learning.close()


def test_what_is_left_out_of_learning_is_said(tmp_path: Path) -> None:
    """4 s of a file of 15 s show a change of light: 11 s are learned from."""
    recorder = FootageRecorder(tmp_path / "f", "door", 15.0, fps=10.0, live=False)
    for n in range(151):
        state = CameraState.SCENE_CHANGE if 50 <= n < 88 else CameraState.ONLINE
        health = Health(state, scored=not 50 <= n < 90)
        recorder.take(replace(frame(n / 10), health=health))
    recorder.close()
    plan = LearningPlan("door", "door.mp4", tmp_path, 15.0, ("static",), Hold(15.0))
    assert words.left_out(plan, recorder.seen_s, recorder.left_out) == (
        "38 frames scene change and 2 frames unsteady or corrupted: left out of learning, because they are not scored, "
        "so it learns from 11 s instead of 15 s; if that is too little, give --learn a longer time"
    )
    live = replace(plan, hold=None)
    assert words.left_out(live, 15.0, {CameraState.DARK: 1}) == (
        "1 frame dark: left out of learning, because they are not scored"
    )
    assert words.left_out(plan, 15.0, {}) == ""


def _sized(number: int, width: int, height: int) -> Frame:
    return Frame("door", number, number / 10, np.full((height, width, 3), number % 200, np.uint8), 0)


def test_pictures_of_one_shape_in_several_sizes_are_one_recording(tmp_path: Path) -> None:
    recorder = FootageRecorder(tmp_path / "f", "door", 15.0, fps=10.0, live=True)
    for number in range(40):
        recorder.take(_sized(number, *((32, 24) if number % 2 else (64, 48))))
    recorder.close()
    assert (recorder.problem, recorder.error) == ("", None)
    assert recorder.seen_s == pytest.approx(3.9)
    source = FootageSource(tmp_path / "f")
    assert source.camera_size == (64, 48)
    with source.open() as reader:
        shapes = []
        while reader.grab() is not None:
            image = reader.retrieve()
            assert image is not None
            shapes.append(image.shape)
    assert shapes == [(48, 64, 3)] * 40


def test_a_camera_that_changes_its_shape_once_is_recorded_anew_and_one_that_alternates_is_said(tmp_path: Path) -> None:
    recorder = FootageRecorder(tmp_path / "f", "door", 15.0, fps=10.0, live=True)
    for number in range(20):
        recorder.take(_sized(number, *((64, 48) if number < 10 else (48, 48))))
    recorder.close()
    assert (FootageSource(tmp_path / "f").camera_size, recorder.problem) == ((48, 48), "")
    recorder = FootageRecorder(tmp_path / "f", "door", 15.0, fps=10.0, live=True)
    for number in range(20, 40):
        recorder.take(_sized(number, *((64, 48) if number % 2 else (48, 48))))
    recorder.close()
    assert "changes again and again" in recorder.problem
    assert recorder.error is None
