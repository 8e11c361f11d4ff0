"""An error in the evidence of one camera costs that camera's evidence, and never that of another."""

from __future__ import annotations

import errno
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.sinks.evidence import camera_evidence
from monitor.sinks.evidence.alert_pictures import snapshot
from monitor.sinks.evidence.evidence_files import RETRY_S, Disk, EvidenceFiles
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.testing.scripted import Clock
from monitor.types import Image
from tests.helpers.bright_events import BRIGHT, CALM, files_in, levels, monitor, sink_for, tell


def judged(watched: CameraMonitor, poison: Image | None = None) -> list[Judgement]:
    """One event of a camera; in its middle comes a picture that no one expects."""
    found = []
    for number, item in enumerate(levels((6, CALM), (2, BRIGHT), (8, CALM))):
        frame = replace(item.frame, camera=watched.camera)
        judgement = watched.update(replace(item, frame=frame))
        if poison is not None and number in (10, 70):
            frame = replace(frame, image=poison)
        found.append(replace(judgement, scored=replace(judgement.scored, frame=frame)))
    return found


def two_cameras(sink: EvidenceSink, poison: Image | None = None) -> None:
    bad, good = monitor("bad"), monitor("good")
    with sink:
        sink.added(bad)
        sink.added(good)
        for one, other in zip(judged(bad, poison), judged(good), strict=True):
            tell(sink, one)
            tell(sink, other)


@pytest.mark.parametrize("shape", [(0, 0, 3), (24, 32, 4), (24, 0, 3)])
def test_a_picture_that_no_one_expects_costs_only_its_camera(
    shape: tuple[int, int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = sink_for(tmp_path)
    two_cameras(sink, np.zeros(shape, np.uint8))
    assert len([name for name in files_in(tmp_path) if name.startswith("good/")]) == 4
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) <= 1, "said once, not for each frame"
    assert "evidence has stopped" not in caplog.text
    assert "evidence" not in [thread.name for thread in threading.enumerate()]


def test_an_error_is_said_and_the_camera_s_next_event_has_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def failing(alert: object, width: int) -> Image:
        calls.append(alert.camera)  # type: ignore[attr-defined]
        if calls == ["bad"]:
            raise ZeroDivisionError("rtsp://u:hunter2@host/ divided by zero")
        return snapshot(alert, width)  # type: ignore[arg-type]

    monkeypatch.setattr(camera_evidence, "snapshot", failing)
    sink = sink_for(tmp_path)
    two_cameras(sink)
    assert len([name for name in files_in(tmp_path) if name.startswith("good/")]) == 4
    assert [name for name in files_in(tmp_path) if name.startswith("bad/")], "the end of its event"
    assert "bad: evidence is lost, alerts and the evidence of other cameras continue: ZeroDivisionError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_camera_of_which_the_thread_did_not_hear_has_evidence(tmp_path: Path) -> None:
    watched = monitor("late")
    with sink_for(tmp_path) as sink:
        for judgement in judged(watched):
            tell(sink, judgement)
    assert len([name for name in files_in(tmp_path) if name.startswith("late/")]) == 4


@pytest.mark.parametrize("blocked", ["a file", "a link to itself"])
def test_a_folder_that_cannot_be_written_costs_only_its_camera(
    blocked: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if blocked == "a file":
        (tmp_path / "bad").write_text("in the way")
    else:
        (tmp_path / "bad").symlink_to("bad")
    sink = sink_for(tmp_path)
    two_cameras(sink)
    assert len([name for name in files_in(tmp_path) if name.startswith("good/")]) == 4
    assert sink.disk.lost == 5
    assert caplog.text.count("cannot be written") == 1
    assert f"{tmp_path / 'bad'} cannot be written" in caplog.text


def test_only_errors_of_the_disk_stop_every_camera(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    disk = Disk(tmp_path, clock)
    bad, good = (EvidenceFiles.of(name, 0.0, 1, ".mp4").start for name in ("bad", "good"))
    for number, others_go_on in ((errno.ENAMETOOLONG, True), (errno.EACCES, True), (errno.ENOSPC, False)):
        disk.failed(bad, OSError(number, os.strerror(number)))
        assert not disk.usable(bad)
        assert disk.usable(good) is others_go_on
        clock.now += RETRY_S + 1
        assert disk.usable(bad)
        disk.write(bad, b"x")
        assert disk.usable(good)
    assert caplog.text.count("can be written again") == 3


def test_a_very_long_name_is_the_camera_s_own_problem(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.write(EvidenceFiles.of("x" * 300, 0.0, 1, ".mp4").start, b"x")
    disk.write(EvidenceFiles.of("good", 0.0, 1, ".mp4").start, b"x")
    assert (disk.written, disk.lost) == (1, 1)
