"""Two monitors never write the same model."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.models_in_use import ModelsInUse, lock_of
from monitor.errors import UsageError
from monitor.model.model_store import save_model
from monitor.sources.camera import CameraSource
from monitor.sources.video import VideoSource
from monitor.testing.fakes import Brightness, held_out, provenance

DOOR = CameraSource("door", "rtsp://127.0.0.1/door")
FILE = VideoSource(Path("yard.mp4"), "yard")


@pytest.fixture
def first() -> Iterator[ModelsInUse]:
    in_use = ModelsInUse()
    yield in_use
    in_use.close()


def settings_of(models: Path, **others: object) -> MonitorConfig:
    return MonitorConfig().model_copy(update={"models_folder": models, **others})


def test_a_model_that_another_run_may_write_is_refused_until_that_run_ends(first: ModelsInUse, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "models")
    first.take([DOOR], settings)
    first.take([DOOR, FILE], settings)  # a reload with one camera more
    second = ModelsInUse()
    for source in (DOOR, FILE):
        with pytest.raises(UsageError, match=f"the model of '{source.name}' in .* is in use by another monitor"):
            second.take([source], settings)
    first.close()
    second.take([DOOR, FILE], settings)
    second.close()


def test_the_lock_file_is_the_owner_s_and_does_not_name_the_camera(first: ModelsInUse, tmp_path: Path) -> None:
    first.take([DOOR], settings_of(tmp_path / "models"))
    (path,) = (tmp_path / "models").iterdir()
    assert path == lock_of(tmp_path / "models/door")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "door" not in path.name
    assert path.read_bytes() == b""


def test_what_is_only_read_may_be_read_by_many(first: ModelsInUse, tmp_path: Path) -> None:
    models = tmp_path / "models"
    save_model(models / "yard/v0001", "yard", [Brightness()], held_out(), provenance())
    second = ModelsInUse()
    named = settings_of(models, model=tmp_path / "shared")
    for in_use in (first, second):
        in_use.take([FILE], settings_of(models))
        in_use.take([DOOR], named)
    assert not list(models.glob(".*"))


def test_a_folder_that_cannot_be_written_needs_no_lock(first: ModelsInUse, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    first.take([DOOR], settings_of(tmp_path / "models"))
