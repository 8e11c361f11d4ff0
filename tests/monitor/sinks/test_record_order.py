"""The lines of several files, put in order of their camera when the run ends."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.errors import RunError
from monitor.sinks.score_record import Recorder
from monitor.testing.fakes import judgement, scored

CAMERAS = ("yard", "door", "gate", "door", "yard", "10", "door")


def record(path: Path) -> None:
    with Recorder(path, None, sort=True) as recorder:
        for number, camera in enumerate(CAMERAS):
            item = scored(float(number))
            recorder.score(judgement(replace(item, frame=replace(item.frame, camera=camera)), 0.5))


def test_each_camera_s_lines_follow_each_other_in_their_own_order(tmp_path: Path) -> None:
    record(tmp_path / "scores.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(line["camera"], line["time_s"]) for line in lines] == [
        ("10", 5.0), ("door", 1.0), ("door", 3.0), ("door", 6.0), ("gate", 2.0), ("yard", 0.0), ("yard", 4.0),
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["scores.jsonl"]


def test_a_device_in_the_place_of_the_record_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.symlink_to("/dev/null")
    record(path)
    assert path.is_symlink()
    assert [found.name for found in tmp_path.iterdir()] == ["scores.jsonl"]


def test_lines_that_cannot_be_put_in_order_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    (tmp_path / "scores.jsonl.partial").mkdir()
    with pytest.raises(RunError, match="the record is incomplete"):
        record(path)
    assert [json.loads(line)["camera"] for line in path.read_text().splitlines()] == list(CAMERAS)
