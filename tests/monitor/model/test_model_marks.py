"""Only models with the mark of this program are replaced or removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from monitor.errors import ModelError
from monitor.model.model_store import check_replaceable
from monitor.model.model_versions import is_ours, prune, remove_model
from tests.helpers.bright_events import files_in

CARD = '{\n  "format": "true-sight-model",\n  "format_version": 1\n}\n'
KERAS = '{"class_name": "Sequential", "config": {"name": "mine"}}'


def put(folder: Path, card: str | None, *others: str) -> Path:
    folder.mkdir(parents=True)
    if card is not None:
        (folder / "model.json").write_text(card)
        (folder / "weights.safetensors").write_bytes(b"weights")
    for other in others:
        (folder / other).write_text("mine")
    return folder


def test_a_model_of_another_program_is_not_replaced(tmp_path: Path) -> None:
    for name, card in (("keras", KERAS), ("empty", ""), ("none", None)):
        with pytest.raises(ModelError, match="is not a model folder: choose another place"):
            check_replaceable(put(tmp_path / name, card, "notes.txt"))
    check_replaceable(put(tmp_path / "own", CARD))


def test_old_versions_go_and_folders_that_only_look_like_versions_stay(tmp_path: Path) -> None:
    for number in range(1, 9):
        put(tmp_path / f"v{number:04d}", CARD)
    put(tmp_path / "v0009", KERAS)
    put(tmp_path / "v0010", None, "film.mp4")
    (tmp_path / "v0002" / "notes.txt").write_text("mine")
    prune(tmp_path, keep=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v0002", *(f"v{n:04d}" for n in range(4, 11))]
    assert files_in(tmp_path / "v0002") == ["notes.txt"]


def test_files_of_others_in_a_model_stay(tmp_path: Path) -> None:
    folder = put(tmp_path / "door", CARD, "notes.txt")
    remove_model(folder)
    assert files_in(tmp_path) == ["door/notes.txt"]
    assert not is_ours(folder)
    shutil.rmtree(folder)
    remove_model(folder)


def test_what_a_killed_process_has_left_half_written_is_removed(tmp_path: Path) -> None:
    gone = 2**22 + 1  # above the highest process id of Linux
    for name in (f".next.{gone}.partial", f".v0002.{gone}.partial", f".v0003.{os.getpid()}.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text('{"format": "true-sight-model"}')
    (tmp_path / f".v0004.{gone}.partial").mkdir()
    (tmp_path / f".holiday.{gone}.partial").mkdir()
    (tmp_path / f".holiday.{gone}.partial/film.mp4").write_text("a film")
    prune(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f".holiday.{gone}.partial", f".v0003.{os.getpid()}.partial"]
