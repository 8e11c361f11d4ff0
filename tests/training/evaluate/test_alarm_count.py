from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from monitor.errors import SourceError, UsageError
from monitor.testing.fakes import brightness_model
from monitor.text.wording import about
from tests.places import SHARED_DATA
from training.evaluate.alarm_count import count_alarms
from training.evaluate.evaluation_report import alarm_table, clock, to_json
from training.evaluate.events import Alarm
from training.progress import Report

QUIET = Report(quiet=True)
CHECKERS = np.kron(np.tile([[0, 20], [20, 0]], (6, 8)), np.ones((4, 4)))[..., None].astype(np.uint8)


def recording(path: Path, levels: list[int]) -> None:
    """Write a folder of frames at 25 per second. They vary a little, so that the camera does not count as frozen.

    One third of the picture never changes, so that a change does not count as a change of the light.
    """
    path.mkdir(parents=True)
    for i, level in enumerate(levels):
        noise = np.random.default_rng(i).integers(0, 4, (48, 64, 1))
        picture = np.full((48, 64, 3), level + noise, np.uint8)
        picture[:16] = 15
        cv2.imwrite(str(path / f"{i:04}.png"), picture + CHECKERS)


def test_alarms_are_counted_over_all_files_with_time_and_reason(tmp_path: Path) -> None:
    recording(tmp_path / "day/00", [15] * 100)
    recording(tmp_path / "day/01", [15] * 100 + [200] * 75 + [15] * 75)
    found = count_alarms(tmp_path / "day", brightness_model(), 1.0, QUIET)
    assert (found.files, found.frames) == (2, 140)
    assert found.footage_s == pytest.approx(13.9, abs=0.1)
    (alarm,) = found.alarms
    assert alarm.video == "01"
    assert 3.9 < alarm.started_s < 4.6
    assert 2.0 < alarm.length_s < 3.5
    assert found.at_s[0] == pytest.approx(alarm.started_s + 4)
    assert alarm.detector == "brightness"
    assert alarm.reasons[0].startswith("brightness 0.")
    assert found.per_day == pytest.approx(86_400 / found.footage_s)
    low, high = found.per_day_interval
    assert low < found.per_day < high
    assert f"1 alarm: {about(found.per_day)} in 24 h" in found.text()
    written = json.loads(to_json(found))
    assert written["alarms"][0]["peak_score"] == alarm.peak_score
    assert written["ms"].keys() == {"decode", "health", "brightness"}


def test_images_play_at_the_rate_that_is_given(tmp_path: Path) -> None:
    recording(tmp_path / "day/00", [15] * 40)
    found = count_alarms(tmp_path / "day", brightness_model(), 1.0, QUIET, analysis_fps=0, fps=5.0)
    assert found.frames == 40
    assert found.footage_s == pytest.approx(39 / 5.0)


def test_the_table_of_alarms_fits_the_terminal_and_cuts_neither_file_name_nor_reason() -> None:
    reason = "movement downwards 92 % of the movement there, usually none here"
    alarm = Alarm("avenue/testing_videos/17.avi", 3.0, 3.5, 6.5, 2.1, 4.0, "motion", (reason, reason), notify=True)
    assert alarm_table([alarm]).splitlines()[1].endswith(f"motion: {reason}; {reason}")
    for width in (80, 120):
        lines = alarm_table([alarm, alarm], width).splitlines()
        assert max(map(len, lines)) <= width
        assert "/17.avi " in lines[1]
        words = " ".join(line[lines[0].index("why") :] for line in lines)
        assert words.count("usually none here;") == 2
    assert "avenue/testing_videos/17.avi" in lines[1]


def test_event_across_two_files_is_one_alarm_in_the_file_where_it_began(tmp_path: Path) -> None:
    recording(tmp_path / "00", [15] * 100 + [200] * 50)
    recording(tmp_path / "01", [200] * 50 + [15] * 100)
    (alarm,) = count_alarms(tmp_path, brightness_model(), 1.0, QUIET).alarms
    assert alarm.video == "00"
    assert alarm.length_s == pytest.approx(4.0, abs=0.6)


def test_file_that_cannot_be_read_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    recording(tmp_path / "01", [15] * 60)
    (tmp_path / "00.avi").write_bytes(b"no video")
    found = count_alarms(tmp_path, brightness_model(), 1.0, QUIET)
    assert found.frames == 24
    assert len(found.skipped) == 1
    assert "00.avi" in found.skipped[0]


def test_nothing_readable_at_all_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "00.avi").write_bytes(b"no video")
    with pytest.raises(SourceError, match="contains no readable frame"):
        count_alarms(tmp_path, brightness_model(), 1.0, QUIET)


def test_times_read_as_on_a_clock() -> None:
    assert [clock(s) for s in (0.0, 7.24, 59.96, 61.0, 3723.4)] == ["0:00.0", "0:07.2", "1:00.0", "1:01.0", "1:02:03.4"]


@pytest.mark.skipif(not (SHARED_DATA / "clips").exists(), reason="the real footage is missing: ../shared/data")
def test_real_video_is_counted_from_start_to_end() -> None:
    model = replace(brightness_model())
    found = count_alarms(SHARED_DATA / "umn/lawn_1.mp4", model, 1.0, QUIET)
    assert found.footage_s == pytest.approx(613 / 30, abs=0.5)
    assert 190 < found.frames < 215


def test_footage_that_no_detector_can_judge_is_no_clean_record(tmp_path: Path) -> None:
    recording(tmp_path / "day/00", [15] * 100)
    model = brightness_model()
    notes = model.card.provenance.model_copy(update={"notes": {"width": 48, "height": 64}})
    other = replace(model, card=model.card.model_copy(update={"provenance": notes}))
    with pytest.raises(
        UsageError, match=r"no detector could judge any of this footage \(\d+ misfit\): give footage of the"
    ):
        count_alarms(tmp_path / "day", other, 1.0, QUIET)
