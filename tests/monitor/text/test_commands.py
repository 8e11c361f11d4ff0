import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.text import commands
from monitor.text.commands import client_command, learn_command, monitor_command, python_command, training_command
from tests.places import ROOT


def test_what_lies_below_the_current_folder_is_named_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv/bin/python"))
    monkeypatch.chdir(ROOT)
    assert python_command("-m training learn") == ".venv/bin/python -m training learn"
    assert monitor_command("--demo") == ".venv/bin/python run_monitor.py --demo"
    monkeypatch.chdir(ROOT / "docs")
    assert monitor_command() == shlex.join([f"{ROOT}/.venv/bin/python", f"{ROOT}/run_monitor.py"])


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of an installed package in ``environment/bin``; no checkout."""
    folder = tmp_path / "environment/bin"
    folder.mkdir(parents=True)
    for name in ("python", "true-sight", "true-sight-training", "true-sight-client"):
        (folder / name).touch(0o755)
    monkeypatch.setattr(commands, "_ROOT", tmp_path / "environment/lib/site-packages")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    return folder


def test_installed_commands_are_named_as_they_are_installed(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert monitor_command("--demo") == "environment/bin/true-sight --demo"
    assert learn_command("door") == "environment/bin/true-sight-training learn FOOTAGE --name door"
    assert client_command() == "environment/bin/true-sight-client"
    assert python_command("-m pip") == "environment/bin/python -m pip"
    monkeypatch.setenv("PATH", str(environment))
    assert monitor_command("--demo") == "true-sight --demo"


def test_a_command_that_is_linked_into_the_path_is_called_by_its_name(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links/true-sight").symlink_to(environment / "true-sight")
    monkeypatch.setenv("PATH", str(tmp_path / "links"))
    assert monitor_command() == "true-sight"


def test_without_installed_commands_their_modules_are_named(environment: Path) -> None:
    for command in environment.glob("true-sight*"):
        command.unlink()
    assert monitor_command("--demo") == "environment/bin/python -m run_monitor --demo"
    assert training_command("learn") == "environment/bin/python -m training learn"


def test_a_python_on_the_path_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    monkeypatch.setenv("PATH", str(python.parent))
    assert python_command("-m training") == f"{python.name} -m training"


def test_a_command_can_be_pasted_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my tools").mkdir()
    (tmp_path / "my tools/python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my tools/python"))
    monkeypatch.chdir(tmp_path)
    command = python_command("-c 'print(6 * 7)'")
    assert subprocess.check_output(["sh", "-c", command], text=True) == "42\n"
