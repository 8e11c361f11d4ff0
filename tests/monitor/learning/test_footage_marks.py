"""A recording is written to, and removed from, marked folders only."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.errors import SourceError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.learning.footage import CARD, FootageWriter, check_writable, is_footage, remove_footage
from monitor.learning.footage_recorder import FootageRecorder
from monitor.learning.hold import Hold
from monitor.learning.learning_plan import LearningPlan
from monitor.model.model_store import Model
from monitor.testing.fakes import frame, picture
from tests.helpers.bright_events import files_in


def record(folder: Path, label: str = "rtsp://camera/stream") -> None:
    writer = FootageWriter(folder, label, (32, 24), 10.0)
    for index in range(3):
        writer.add(index / 10, picture(90))


def put(folder: Path, *names: str) -> dict[str, str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return dict.fromkeys(names, "mine")


def test_a_recording_is_removed_whole(tmp_path: Path) -> None:
    record(tmp_path / "footage")
    remove_footage(tmp_path / "footage")
    assert not (tmp_path / "footage").exists()
    remove_footage(tmp_path / "footage")


def test_what_is_no_recording_stays_whatever_it_is_called(tmp_path: Path) -> None:
    put(tmp_path / "footage", "holiday.mp4", "0000/000000100.jpg")
    for card in (None, '{"format": "another"}', "[]", "my notes"):
        if card is not None:
            (tmp_path / "footage" / CARD).write_text(card)
        before = files_in(tmp_path)
        remove_footage(tmp_path / "footage")
        assert files_in(tmp_path) == before
        assert not is_footage(tmp_path / "footage")
        with pytest.raises(SourceError, match="no recording of this monitor: move them to another folder"):
            record(tmp_path / "footage")


def test_files_of_others_in_a_recording_and_behind_links_stay(tmp_path: Path) -> None:
    record(tmp_path / "footage")
    put(tmp_path / "elsewhere", "000000000.jpg")
    put(tmp_path / "footage", "notes.txt", "0000/cat.jpg", "letters/000000001.jpg")
    (tmp_path / "footage" / "0001").symlink_to(tmp_path / "elsewhere")
    remove_footage(tmp_path / "footage")
    assert files_in(tmp_path / "footage") == ["0000/cat.jpg", "letters/000000001.jpg", "notes.txt"]
    assert files_in(tmp_path / "elsewhere") == ["000000000.jpg"]


@pytest.mark.parametrize("live", [True, False])
def test_a_recorder_says_that_the_folder_is_not_its_own(tmp_path: Path, live: bool) -> None:
    put(tmp_path / "footage", "holiday.mp4")
    recorder = FootageRecorder(tmp_path / "footage", "camera", 60.0, fps=10.0, live=live)
    recorder.take(frame(0.0))
    recorder.close()
    assert recorder.error is not None
    assert "is no recording" in recorder.error or "are no recording" in recorder.error
    assert files_in(tmp_path) == ["footage/holiday.mp4"]


def test_a_card_that_a_kill_cut_off_still_marks_the_recording(tmp_path: Path) -> None:
    record(tmp_path / "footage")
    card = (tmp_path / "footage" / CARD).read_text()
    for cut in (0, 5, len(card) // 2):
        (tmp_path / "footage" / CARD).write_text(card[:cut])
        check_writable(tmp_path / "footage")
        record(tmp_path / "footage")
        assert json.loads((tmp_path / "footage" / CARD).read_text())["width"] == 32


def test_a_pipe_in_the_place_of_the_card_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CARD)
    assert not is_footage(tmp_path)


def begin(plan: LearningPlan) -> None:
    def never(_: LearningPlan) -> tuple[Model, CameraMonitor]:
        raise AssertionError("nothing is learned here")

    Learning((plan,), never).close()


@pytest.mark.parametrize(
    ("before", "now", "another"),
    [
        ("rtsp://***@10.0.0.1/live/101", "rtsp://10.0.0.1/***/101", False),
        ("rtsp://10.0.0.1/***/101", "rtsp://10.0.0.1/***/102", True),
        ("rtsp://10.0.0.1/live", "rtsp://10.0.0.2/live", True),
        ("rtsp://10.0.0.1/live", "day.mp4", True),
        ("day.mp4", "/films/day.mp4", False),
    ],
)
def test_a_recording_of_another_camera_is_neither_continued_nor_removed(
    tmp_path: Path, before: str, now: str, another: bool
) -> None:
    plan = LearningPlan("door", now, tmp_path, 60.0, ("static",), hold=None if "://" in now else Hold(60.0))
    record(plan.footage, before)
    begin(plan)
    assert (tmp_path / "footage-1").exists() is another
    if another:
        assert is_footage(tmp_path / "footage-1")
        assert not plan.footage.exists()


def test_a_recording_to_keep_is_kept_when_its_camera_learns_again(tmp_path: Path) -> None:
    plan = LearningPlan("door", "rtsp://camera/stream", tmp_path, 60.0, ("static",), again=True, keep_footage=True)
    record(plan.footage)
    begin(plan)
    assert is_footage(tmp_path / "footage-again-1")
    record(plan.footage)
    begin(replace(plan, keep_footage=False))
    assert is_footage(plan.footage), "an interrupted recording is continued"
