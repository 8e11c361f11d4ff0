"""Evidence on disks that are full, read-only or missing, and which evidence is deleted when."""

import itertools
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
from monitor.sinks.evidence.retention import RECORD, SHARE, STALE_S, Retention, make_room
from monitor.testing.scripted import Clock
from monitor.witnessed_time import Moment
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


def age_s(unix_s: float) -> float:
    """The age of a time, as a right clock shows it."""
    return NOW - unix_s


def events_in(folder: Path) -> list[str]:
    return [name for name in files_in(folder) if name != RECORD]


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
    assert make_room(tmp_path, 30 * DAY_S, 10**9, age_s) == 1000
    assert files_in(tmp_path) == sorted(kept.all)
    assert not (tmp_path / "door").exists()


def test_the_oldest_events_make_room_whatever_their_camera(tmp_path: Path) -> None:
    events = [put(tmp_path, "door" if day % 2 else "yard", float(day)) for day in range(10)]
    assert make_room(tmp_path, 30 * DAY_S, 5000, age_s) <= SHARE * 5000
    assert files_in(tmp_path) == sorted(name for files in events[:4] for name in files.all)
    assert make_room(tmp_path, 30 * DAY_S, 5000, age_s) == 4000, "within the budget, nothing more is deleted"


def test_an_event_that_is_being_written_is_never_deleted(tmp_path: Path) -> None:
    old, new = put(tmp_path, "door", 40.0), put(tmp_path, "yard", 0.0)
    make_room(tmp_path, 30 * DAY_S, 100, age_s, {old.name})
    assert files_in(tmp_path) == sorted(old.all)
    assert new.stem == old.stem, "it is from another day"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "door", 40.0)
    others = ["notes.txt", "door/2001-01-01/holiday.mp4", "door/letters/120000.000-1.mp4", "door/2001-99-99/x.json"]
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    make_room(tmp_path, 30 * DAY_S, 1, age_s)
    assert files_in(tmp_path) == sorted(others)


def test_what_a_killed_monitor_left_unfinished_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    files = put(tmp_path, "door", 0.0)
    partial = partial_path(tmp_path / files.clip)
    partial.write_text("half")
    make_room(tmp_path, 30 * DAY_S, 10**9, lambda unix_s: time.time() - unix_s)
    assert partial.exists()
    long_ago = time.time() - STALE_S - 1
    os.utime(partial, (long_ago, long_ago))
    make_room(tmp_path, 30 * DAY_S, 10**9, lambda unix_s: time.time() - unix_s)
    assert not partial.exists()


class Machine:
    """The clocks of a machine. The wall clock shows NOW plus what it is wrong by."""

    def __init__(self) -> None:
        self.uptime_s, self.wrong_s = 0.0, 0.0

    def __call__(self) -> Moment:
        return Moment("boot 1", self.uptime_s, NOW + self.uptime_s + self.wrong_s)


def retention_on(machine: Machine, folder: Path, keep_bytes: int = 10**9) -> Retention:
    """For 30 days. It looks at the folder at every check."""
    return Retention(folder, 30, keep_bytes, machine, itertools.count(step=1000).__next__)


def passes(retention: Retention, machine: Machine, seconds: float) -> None:
    """Let time pass, with a scan at the end."""
    machine.uptime_s += seconds
    retention.check(1, ())


def test_the_folder_is_looked_through_at_the_start_and_when_the_budget_is_passed(tmp_path: Path) -> None:
    put(tmp_path, "door", 1.0)
    machine = Machine()
    first = retention_on(machine, tmp_path)
    for _ in range(2):
        passes(first, machine, 60.0)
    machine.uptime_s += 31 * DAY_S
    retention = Retention(tmp_path, 30, 5000, machine)
    retention.check(0, ())
    assert not events_in(tmp_path), "files that are too old are deleted"
    for hour in range(6):
        put(tmp_path, "door", -31 + 0.01 * hour)
    retention.check(5000, ())
    assert len(events_in(tmp_path)) == 24, "no check has been due yet"
    retention.check(6000, ())
    assert len(events_in(tmp_path)) == 16


@pytest.mark.parametrize("wrong_days", [3650, 45, -400])
def test_a_wrong_clock_deletes_no_evidence(tmp_path: Path, wrong_days: int) -> None:
    """Neither what was written before the clock was wrong, nor what was written then."""
    machine = Machine()
    retention = retention_on(machine, tmp_path)
    put(tmp_path, "door", 0.0)
    for _ in range(2):
        passes(retention, machine, 60.0)
    machine.wrong_s = wrong_days * DAY_S
    put(tmp_path, "yard", -wrong_days - machine.uptime_s / DAY_S)
    passes(retention, machine, 5.0)
    restarted = retention_on(machine, tmp_path)
    passes(restarted, machine, 60.0)
    machine.wrong_s = 0.0
    passes(restarted, machine, 60.0)
    passes(retention_on(machine, tmp_path), machine, 60.0)
    assert len(events_in(tmp_path)) == 8
    passes(restarted, machine, 31 * DAY_S)
    assert not events_in(tmp_path), "it gets old all the same"


def test_of_events_with_a_clock_that_was_behind_the_oldest_goes_first(tmp_path: Path) -> None:
    machine = Machine()
    retention = retention_on(machine, tmp_path, 1500)
    put(tmp_path, "door", 0.0)
    for _ in range(2):
        passes(retention, machine, 1800.0)
    machine.wrong_s = -400 * DAY_S
    passes(retention, machine, 60.0)
    new = put(tmp_path, "yard", 400.0 - 3700 / DAY_S)
    passes(retention, machine, 60.0)
    assert events_in(tmp_path) == sorted(new.all)


def test_folders_that_were_empty_before_and_links_to_others_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "evidence", "door", 40.0)
    (tmp_path / "evidence" / "mine" / "2020-01-01").mkdir(parents=True)
    theirs = put(tmp_path / "other", "yard", 40.0)
    (tmp_path / "evidence" / "yard").symlink_to(tmp_path / "other" / "yard")
    make_room(tmp_path / "evidence", 30 * DAY_S, 1, age_s)
    assert not (tmp_path / "evidence" / "door").exists()
    assert (tmp_path / "evidence" / "mine" / "2020-01-01").is_dir()
    assert events_in(tmp_path / "other") == sorted(theirs.all)


def test_a_missing_folder_is_no_trouble(tmp_path: Path) -> None:
    assert make_room(tmp_path / "none", DAY_S, 1, age_s) == 0
    stop = threading.Event()
    with sink_for(tmp_path / "none", stop):
        stop.set()
    assert not any((tmp_path / "none").iterdir())
