"""The project's commands as text. The user can paste them into the shell that started this program."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[2] / "run_monitor.py"


def python_command(arguments: str = "") -> str:
    """``.venv/bin/python -m training learn``: the running Python interpreter, followed by ``arguments``."""
    executable = Path(sys.executable)
    on_path = shutil.which(executable.name) == str(executable)
    return f"{executable.name if on_path else _from_here(executable)} {arguments}".rstrip()


def monitor_command(arguments: str = "") -> str:
    """``.venv/bin/python run_monitor.py --demo``: the monitor, followed by ``arguments``."""
    return python_command(f"{_from_here(_SCRIPT)} {arguments}")


def learn_command(camera: str = "CAMERA") -> str:
    """``.venv/bin/python -m training learn FOOTAGE --name CAMERA``."""
    return python_command(f"-m training learn FOOTAGE --name {camera}")


def _from_here(path: Path) -> str:
    """The path, relative to the current folder if it is inside that folder, and quoted for a shell."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
