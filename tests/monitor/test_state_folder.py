"""Where models and the journal are kept, whatever the working directory is."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.errors import ConfigError
from monitor.learning.footage import FootageWriter
from monitor.state_folder import StateFolder, state_folder
from monitor.testing.fakes import picture


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def with_model(folder: Path, text: str = '{"format": "true-sight-model"}') -> None:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(text)


def test_the_place_does_not_depend_on_the_working_directory(here: Path, state_of_its_own: Path) -> None:
    place = state_folder()
    assert (place.models, place.journal) == (state_of_its_own / "models", state_of_its_own / "runs" / "journal.sqlite3")
    assert not state_of_its_own.exists(), "to ask creates nothing"
    assert not list(here.iterdir())


def test_a_named_folder_counts_before_all_others(here: Path) -> None:
    with_model(here / "models" / "door" / "v0001")
    assert state_folder(Path("/srv/state")).models == Path("/srv/state/models")


@pytest.mark.parametrize("left", ["versions", "one model", "recording", "journal"])
def test_what_an_earlier_version_left_in_the_working_directory_is_used(here: Path, left: str) -> None:
    if left == "versions":
        with_model(here / "models" / "door" / "v0001")
    elif left == "one model":
        with_model(here / "models" / "door")
    elif left == "recording":
        FootageWriter(here / "models" / "door" / "footage", "cam", (32, 24), 10.0).add(0.0, picture(9))
    else:
        with Journal(here / "runs" / "journal.sqlite3"):
            pass
    assert state_folder() == StateFolder(Path(), found=True)
    assert state_folder().models == Path("models")


def test_folders_of_others_with_these_names_are_not_used(here: Path, state_of_its_own: Path) -> None:
    with_model(here / "models" / "bert", '{"architectures": ["Bert"]}')
    (here / "models" / "door" / "footage").mkdir(parents=True)
    (here / "runs").mkdir()
    (here / "runs" / "journal.sqlite3").write_text("dear diary")
    assert state_folder().folder == state_of_its_own


@pytest.mark.usefixtures("here")
def test_a_user_without_a_home_names_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.state_folder.user_state_path", lambda *_, **__: Path("~/.local/state/true-sight"))
    with pytest.raises(ConfigError, match="name a folder with --state"):
        state_folder()
    assert state_folder(Path("/srv/state")).models == Path("/srv/state/models")
