"""The doctor on videos, on folders of images, and on paths that are neither."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.doctor.checkup import Checkup, find_sources
from monitor.app.doctor.children import probe
from monitor.app.doctor.doctor_report import hide_secrets, text_line
from monitor.app.doctor.facts import FootageFacts
from monitor.app.doctor.finding_report import State
from monitor.app.doctor.verdict import judge_footage
from monitor.sources.video import VideoSource
from tests.helpers.examined import SECRET, failure, request
from tests.helpers.made_footage import write_image, write_video


def test_a_folder_with_a_gap_and_an_unreadable_image(tmp_path: Path) -> None:
    for number in (*range(1, 8), *range(10, 13)):
        write_image(tmp_path / f"frame_{number:03d}.jpg")
    (tmp_path / "frame_005.jpg").write_bytes(b"broken")
    asked = request("folder", str(tmp_path))
    facts = probe(asked)
    assert isinstance(facts, FootageFacts)
    assert (facts.total, facts.read, facts.unreadable, facts.missing) == (10, 10, 1, 2)
    finding = judge_footage("frames", facts, asked)
    assert finding.state is State.WARNING
    assert finding.found == "16x12, 25 fps, all 10 images read, 1 unreadable (frame_005.jpg), 2 numbers missing"


def test_a_video_that_is_whole(tmp_path: Path) -> None:
    asked = request("video", str(write_video(tmp_path / "a.avi", frames=12)))
    facts = probe(asked)
    assert isinstance(facts, FootageFacts)
    assert facts.length_s == pytest.approx(1.2)
    with VideoSource(Path(asked.target)).open() as reader:
        assert reader.claimed_s == pytest.approx(1.2), "the length of a video that is not read to its end"
    finding = judge_footage("a", facts, asked)
    assert (finding.state, finding.found) == (State.OK, "32x24, 10 fps, all 12 frames read")


def test_a_folder_that_takes_too_long_is_looked_at_in_part(tmp_path: Path) -> None:
    write_image(tmp_path / "frame_1.jpg")
    facts = probe(request("folder", str(tmp_path)))
    assert isinstance(facts, FootageFacts)
    part = replace(facts, total=12000, read=800, complete=False)
    finding = judge_footage("frames", part, request("folder", str(tmp_path)))
    assert finding.found == "16x12, 25 fps, 12,000 images, 800 read"


def test_a_file_that_is_no_video_and_a_folder_without_an_image_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no pictures here")
    assert "is not a video" in failure("video", str(tmp_path / "notes.mp4")).found
    (tmp_path / "a.jpg").write_bytes(b"broken")
    assert "none of 1 image checked in" in failure("folder", str(tmp_path)).found


def test_each_source_that_is_none_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    specs = [str(video), "no/such.mp4", f"ftp://u:{SECRET}@h/x", "rtsp://h/x"]
    sources, problems = find_sources(Checkup(MonitorConfig(), specs))
    assert [source.name for source in sources] == ["a", "h-x"]
    assert [problem.state for problem in problems] == [State.PROBLEM] * 2
    assert problems[0].found == "there is no file or folder no/such.mp4"
    assert problems[0].mend.startswith("check the path")
    assert SECRET not in "".join(text_line(hide_secrets(problem)) for problem in problems)
