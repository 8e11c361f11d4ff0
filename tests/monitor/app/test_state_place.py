"""Settings that name places: defaults in the state folder, and paths that begin with ~."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.config_file import load_config
from monitor.app.moments_place import moments_folder
from monitor.app.state_place import where_state_is
from monitor.errors import ConfigError
from monitor.sinks.moments.moment_files import MomentFiles
from tests.helpers.commands import doctor, monitor, training


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_one_setting_moves_all_state(here: Path, state_of_its_own: Path) -> None:
    usual = load_config(None)
    assert (usual.models_folder, usual.journal.path) == (
        state_of_its_own / "models",
        state_of_its_own / "runs" / "journal.sqlite3",
    )
    (here / "c.toml").write_text('state = "/srv/state"\n[journal]\ndays = 3\n')
    for moved in (load_config(here / "c.toml"), load_config(None, {"state": Path("/srv/state")})):
        assert moved.models_folder == Path("/srv/state/models")
        assert moved.journal.path == Path("/srv/state/runs/journal.sqlite3")
    assert load_config(here / "c.toml").journal.days == 3


def test_places_that_are_named_stay_as_they_are(here: Path, state_of_its_own: Path) -> None:
    (here / "c.toml").write_text('state = "/srv"\nmodels_folder = "mine"\n[journal]\npath = "j.sqlite3"\n')
    settings = load_config(here / "c.toml")
    assert (settings.models_folder, settings.journal.path) == (Path("mine"), Path("j.sqlite3"))
    (here / "c.toml").write_text('models_folder = "mine"\n')
    settings = load_config(here / "c.toml")
    assert settings.journal.path == state_of_its_own / "runs" / "journal.sqlite3"


def test_the_start_says_where_state_is(here: Path, state_of_its_own: Path) -> None:
    assert where_state_is(load_config(None)) == (
        f"models are kept in {state_of_its_own}/models, the journal in {state_of_its_own}/runs/journal.sqlite3; "
        "--state moves both"
    )
    (here / "models" / "door" / "v0001").mkdir(parents=True)
    (here / "models" / "door" / "v0001" / "model.json").write_text('{"format": "true-sight-model"}')
    said = where_state_is(load_config(None, {"journal.enabled": False}))
    assert said.startswith("models are kept in models, where an earlier run has left them: this depends on")


@pytest.mark.parametrize("state", ["/etc/passwd", "/etc/passwd/below", "/dev/null", "file", "with-a-file"])
def test_a_state_folder_that_is_none_is_refused_with_its_flag(here: Path, state: str) -> None:
    (here / "file").write_text("mine")
    (here / "with-a-file").mkdir()
    (here / "with-a-file" / "models").write_text("mine")
    result = monitor("nothing.mp4", "--state", str(here / state))
    assert result.returncode == 2
    assert "is not a folder: name a folder with --state (or the setting 'state')" in " ".join(result.stderr.split())
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("loop", "because {0}/loop is a link that leads to itself"),
        ("loop/below", "because {0}/loop is a link that leads to itself"),
        ("gone", "because {0}/gone is a link that leads to no folder"),
        ("gone/below", "because {0}/gone is a link that leads to no folder"),
        ("below", "because {0}/below/runs is a link that leads to itself"),
        ("x" * 300, "cannot be used (File name too long)"),
    ],
)
def test_a_state_folder_that_no_folder_can_be_is_refused_with_its_flag(here: Path, state: str, sentence: str) -> None:
    (here / "loop").symlink_to("loop")
    (here / "gone").symlink_to("nothing")
    (here / "below").mkdir()
    (here / "below" / "runs").symlink_to("runs")
    for command in (monitor, doctor):
        result = command("nothing.mp4", "--state", str(here / state))
        assert result.returncode in (1, 2)
        said = " ".join((result.stdout + result.stderr).split())
        assert sentence.format(here) in said
        assert "name a folder with --state" in said
        assert "moments" not in said
        assert "Traceback" not in said


def test_a_state_folder_in_which_nothing_can_be_made_is_named() -> None:
    settings = load_config(None, {"state": Path("/proc/none")})
    with pytest.raises(ConfigError, match="choose another state folder with --state, or set"):
        MomentFiles(moments_folder(settings), settings.moments).__enter__()
    named = load_config(None, {"moments.folder": Path("/proc/none")})
    with pytest.raises(ConfigError, match=r"choose another with \[moments\] folder, or set"):
        MomentFiles(moments_folder(named), named.moments).__enter__()


@pytest.mark.parametrize(
    "key", ["model", "models_folder", "state", "cameras.door.model", "publish.keys", "journal.path", "evidence.folder"]
)
def test_a_tilde_is_the_home_folder_in_every_path(here: Path, key: str) -> None:
    settings = load_config(None, {"cameras.door.source": "0", key: "~/place"})
    value: object = settings
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    assert value == here / "home" / "place"
    assert not list(here.glob("~*"))


def test_an_unknown_home_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="no home folder is known for '~nobody-here': write the whole path"):
        load_config(None, {"evidence.folder": "~nobody-here/x"})


def test_a_tilde_that_no_shell_has_replaced_is_the_home_folder_in_flags(here: Path) -> None:
    for said in (
        monitor("--config=~/none.toml").stderr,
        doctor("--config=~/none.toml").stderr,
        training("what-if", "--scores=~/none.jsonl").stderr,
    ):
        assert f"cannot read {'the config file ' if 'toml' in said else ''}{here / 'home' / 'none.'}" in said
