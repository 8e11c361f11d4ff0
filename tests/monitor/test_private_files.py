from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.alerts.journal import Journal
from monitor.learning.footage import FootageWriter
from monitor.model.model_store import save_model
from monitor.private_files import make_private, make_private_file, make_private_folder, open_private, write_private
from monitor.scores.held_out import HeldOut
from monitor.sinks.evidence.clips import clip_suffix, complete_clip, open_clip
from monitor.sinks.evidence.evidence_files import Disk, partial_path
from monitor.sinks.score_record import Recorder
from monitor.testing.fakes import Brightness, provenance

IMAGE = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A user with the most careless umask."""
    mask = os.umask(0)
    yield
    os.umask(mask)


def modes(folder: Path) -> set[str]:
    """The modes of all files (``-``) and folders (``d``) below the folder."""
    return {stat.filemode(path.stat().st_mode) for path in folder.rglob("*")}


def write_journal(folder: Path) -> None:
    (folder / "runs").mkdir(mode=0o755)
    with Journal(folder / "runs/state/journal.sqlite3"):
        assert (folder / "runs/state/journal.sqlite3-wal").stat().st_mode & 0o777 == 0o600
    (folder / "runs").chmod(0o700)


def write_model(folder: Path) -> None:
    times = np.arange(50) / 10
    held = HeldOut(times, np.zeros(50, np.int32), {"brightness": np.linspace(0, 1, 50)})
    save_model(folder / "models/door/v1", "door", [Brightness()], held, provenance())


def write_footage(folder: Path) -> None:
    writer = FootageWriter(folder / "models/door/footage", "door", (64, 48), 10.0)
    writer.new_stretch()
    writer.add(0.0, IMAGE)


def write_evidence(folder: Path) -> None:
    Disk(folder / "evidence").write("door/2026-03-02/1-start.jpg", b"jpeg")


def write_mp4(folder: Path) -> None:
    write_clip(folder / f"evidence/door/1{clip_suffix()}")


def write_webm(folder: Path) -> None:
    write_clip(folder / "evidence/door/1.webm")


def write_clip(path: Path) -> None:
    clip = open_clip(path, 64, 48, camera="door", started_at=0.0)
    for number in range(3):
        clip.write(number / 10, IMAGE)
    if path.suffix == ".mp4":
        clip.finish()
        return
    clip.finish()
    assert complete_clip(partial_path(path), path) == 0


def write_record(folder: Path) -> None:
    (folder / "old.jsonl").touch(mode=0o644)
    with Recorder(folder / "scores.jsonl", folder / "old.jsonl", sort=True):
        pass


@pytest.mark.parametrize(
    "write", [write_journal, write_model, write_footage, write_evidence, write_mp4, write_webm, write_record]
)
def test_what_shows_what_cameras_see_can_be_read_by_this_user_only(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path)
    assert modes(tmp_path) <= {"-rw-------", "drwx------"}
    assert "-rw-------" in modes(tmp_path)


def test_files_that_were_open_to_all_become_private_and_folders_stay_as_the_user_made_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("a", "b", "c"):
        (tmp_path / name).touch(mode=0o666)
    make_private(tmp_path / "a")
    write_private(tmp_path / "b", b"1")
    with open_private(tmp_path / "c", "w", encoding="utf-8") as file:
        file.write("1")
    make_private_file(tmp_path / "d")
    make_private_folder(tmp_path / "e/f")
    make_private_folder(tmp_path)
    assert modes(tmp_path) == {"-rw-------", "drwx------"}
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        make_private_folder(tmp_path / "a")
    make_private(tmp_path / "missing")
    with open_private(Path(os.devnull), "w") as file:
        file.write("a device keeps its mode")
    assert Path(os.devnull).stat().st_mode & 0o777 == 0o666
