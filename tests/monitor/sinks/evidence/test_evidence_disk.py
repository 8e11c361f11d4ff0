"""Evidence on disks that are full, read-only or missing, and which evidence is deleted when."""

import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from monitor.judging.camera_monitor import Alert
from monitor.sinks.evidence.camera_evidence import CameraEvidence
from monitor.sinks.evidence.clips import Clip, WebmClip, open_clip
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles, partial_path
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.retention import SHARE, STALE_S, Retention, make_room
from monitor.testing.scripted import Clock
from tests.helpers.bright_events import BRIGHT, CALM, files_in, levels, monitor, play, sink_for, tell

DAY_S = 86_400.0
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()


@contextmanager
def small_disk(folder: Path, size: str, *options: str) -> Iterator[Path]:
    """A separate small disk at ``folder``."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk to fill")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not allow mounting a small disk to fill")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of the folder completely."""
    path = folder / "filler"
    path.write_bytes(b"x" * shutil.disk_usage(folder).free)
    assert shutil.disk_usage(folder).free == 0
    return path


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (240, 320, 3), np.uint8)


def test_a_full_disk_loses_evidence_says_so_once_and_goes_on_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    with small_disk(tmp_path / "disk", "256k") as folder:
        filler = fill(folder)
        disk = Disk(folder / "evidence", clock)
        scene = levels((6, CALM), (2, BRIGHT), (9, CALM))
        alerts = play(scene, CameraEvidence("cam", EvidenceSettings(), disk))
        assert [alert.event.phase for alert in alerts] == ["start", "end"]
        assert (disk.written, disk.lost) == (0, 5), "two pictures, the facts twice, the clip"
        assert not files_in(folder / "evidence")
        assert len(caplog.records) == 1
        assert "No space left on device; alerts continue" in caplog.text

        filler.unlink()
        play(scene, CameraEvidence("cam", EvidenceSettings(), disk))
        assert disk.written == 0, "it does not retry at every frame"
        clock.now += 31
        play(scene, CameraEvidence("cam", EvidenceSettings(), disk))
        assert disk.written == 4
        assert "written again" in caplog.text


def write_whole(clip: Clip) -> None:
    for number in range(60):
        clip.write(number / 10, noise(number))
    clip.finish()


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_disk_that_fills_while_a_clip_is_written_leaves_nothing_of_it(tmp_path: Path, kind: str) -> None:
    with small_disk(tmp_path / "disk", "256k") as folder:
        path = folder / f"clip.{kind}"
        mp4 = kind == "mp4"
        clip: Clip = open_clip(path, 320, 240, camera="cam", started_at=0.0) if mp4 else WebmClip(path, 320, 240)
        with pytest.raises(OSError, match=r"No space left|disk may be full"):
            write_whole(clip)
        clip.abandon()
        assert not files_in(folder)


def test_a_read_only_folder_loses_evidence_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "disk", "1m", "ro") as folder, sink_for(folder / "evidence") as sink:
        watched, alerts = monitor(), list[Alert]()
        for item in levels((6, CALM), (2, BRIGHT), (9, CALM)):
            judgement = watched.update(item)
            tell(sink, judgement)
            alerts.extend(judgement.alerts)
    assert [alert.event.phase for alert in alerts] == ["start", "end"]
    assert sink.disk.lost == 5
    assert "Read-only file system" in caplog.text


def test_a_folder_that_goes_away_while_a_clip_is_written_comes_back_with_the_next_file(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    clock = Clock()
    disk = Disk(folder, clock)
    evidence, watched = CameraEvidence("cam", EvidenceSettings(), disk), monitor()
    for item in levels((6, CALM), (3, BRIGHT)):
        judgement = watched.update(item)
        evidence.frame(item.frame)
        for alert in judgement.alerts:
            evidence.step(alert)
    folder.rename(tmp_path / "elsewhere")
    evidence.finish()
    assert disk.lost == 1, "the clip"
    clock.now += 31
    for alert in watched.close():
        evidence.step(alert)
    assert [name.rpartition("-")[2] for name in files_in(folder)] == ["peak.jpg", "1.json"]


def put(folder: Path, camera: str, age_days: float, size: int = 1000) -> EvidenceFiles:
    """An event's four files."""
    files = EvidenceFiles.of(camera, NOW - age_days * DAY_S, 1, ".mp4")
    for name in files.all:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * (size // 4))
    return files


def test_events_are_deleted_by_age_and_their_empty_folders_with_them(tmp_path: Path) -> None:
    put(tmp_path, "door", 31.0)
    kept = put(tmp_path, "yard", 29.0)
    assert make_room(tmp_path, 30 * DAY_S, 10**9, NOW) == 1000
    assert files_in(tmp_path) == sorted(kept.all)
    assert not (tmp_path / "door").exists()


def test_the_oldest_events_make_room_whatever_their_camera(tmp_path: Path) -> None:
    events = [put(tmp_path, "door" if day % 2 else "yard", float(day)) for day in range(10)]
    assert make_room(tmp_path, 30 * DAY_S, 5000, NOW) <= SHARE * 5000
    assert files_in(tmp_path) == sorted(name for files in events[:4] for name in files.all)
    assert make_room(tmp_path, 30 * DAY_S, 5000, NOW) == 4000, "within the budget, nothing more is deleted"


def test_an_event_that_is_being_written_is_never_deleted(tmp_path: Path) -> None:
    old, new = put(tmp_path, "door", 40.0), put(tmp_path, "yard", 0.0)
    make_room(tmp_path, 30 * DAY_S, 100, NOW, {old.name})
    assert files_in(tmp_path) == sorted(old.all)
    assert new.stem == old.stem, "it is from another day"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "door", 40.0)
    others = ["notes.txt", "door/2001-01-01/holiday.mp4", "door/letters/120000.000-1.mp4", "door/2001-99-99/x.json"]
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    make_room(tmp_path, 30 * DAY_S, 1, NOW)
    assert files_in(tmp_path) == sorted(others)


def test_what_a_killed_monitor_left_unfinished_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    files = put(tmp_path, "door", 0.0)
    partial = partial_path(tmp_path / files.clip)
    partial.write_text("half")
    make_room(tmp_path, 30 * DAY_S, 10**9, time.time())
    assert partial.exists()
    long_ago = time.time() - STALE_S - 1
    os.utime(partial, (long_ago, long_ago))
    make_room(tmp_path, 30 * DAY_S, 10**9, time.time())
    assert not partial.exists()


def test_the_folder_is_looked_through_at_the_start_and_when_the_budget_is_passed(tmp_path: Path) -> None:
    today = datetime.now(UTC).timestamp()
    age_days = (NOW - today) / DAY_S
    retention = Retention(tmp_path, 30, 5000)
    put(tmp_path, "door", age_days + 31)
    retention.check(0, ())
    assert not files_in(tmp_path), "files that are too old are deleted"
    for hour in range(6):
        put(tmp_path, "door", age_days + 0.01 * hour)
    retention.check(5000, ())
    assert len(files_in(tmp_path)) == 24, "no check has been due yet"
    retention.check(6000, ())
    assert len(files_in(tmp_path)) == 16


def test_a_missing_folder_is_no_trouble(tmp_path: Path) -> None:
    assert make_room(tmp_path / "none", DAY_S, 1, NOW) == 0
    stop = threading.Event()
    with sink_for(tmp_path / "none", stop):
        stop.set()
    assert not any((tmp_path / "none").iterdir())
