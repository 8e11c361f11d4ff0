import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.text.commands import monitor_command, python_command
from tests.places import ROOT


def test_what_lies_below_the_current_folder_is_named_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv/bin/python"))
    monkeypatch.chdir(ROOT)
    assert python_command("-m training learn") == ".venv/bin/python -m training learn"
    assert monitor_command("--demo") == ".venv/bin/python run_monitor.py --demo"
    monkeypatch.chdir(ROOT / "docs")
    assert monitor_command() == shlex.join([f"{ROOT}/.venv/bin/python", f"{ROOT}/run_monitor.py"])


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
