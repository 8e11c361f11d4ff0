"""The project's commands as text. The user can paste them into the shell that started this program.

In a checkout, a command is the running Python with a script or a module of the checkout. Installed from a package, it
is one of the installed commands.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
"""The checkout, or the folder of installed packages."""


def python_command(arguments: str = "") -> str:
    """``.venv/bin/python -m pip install PACKAGE``: the running Python interpreter, followed by ``arguments``."""
    return f"{_executable(Path(sys.executable))} {arguments}".rstrip()


def monitor_command(arguments: str = "") -> str:
    """``.venv/bin/python run_monitor.py --demo`` or ``true-sight --demo``: the monitor, followed by ``arguments``."""
    if _is_checkout():
        return python_command(f"{_from_here(_ROOT / 'run_monitor.py')} {arguments}")
    return _installed("true-sight", "run_monitor", arguments)


def training_command(arguments: str = "") -> str:
    """``.venv/bin/python -m training learn`` or ``true-sight-training learn``: followed by ``arguments``."""
    return _installed("true-sight-training", "training", arguments)


def client_command(arguments: str = "") -> str:
    """``.venv/bin/python -m monitor.client`` or ``true-sight-client``: the client, followed by ``arguments``."""
    return _installed("true-sight-client", "monitor.client", arguments)


def learn_command(camera: str = "CAMERA") -> str:
    """The command that learns a camera from footage, such as ``true-sight-training learn FOOTAGE --name CAMERA``."""
    return training_command(f"learn FOOTAGE --name {camera}")


def _is_checkout() -> bool:
    return (_ROOT / "pyproject.toml").exists()


def _installed(name: str, module: str, arguments: str) -> str:
    """An installed command; without one, as in a checkout, its module."""
    # Beside the command that runs now (also of pip install --user or --prefix), or beside the environment's Python.
    folders = [Path(sys.argv[0]).parent.absolute(), Path(sys.executable).parent]
    script = next((folder / name for folder in folders if (folder / name).exists()), None)
    if _is_checkout() or script is None:
        return python_command(f"-m {module} {arguments}")
    return f"{_executable(script)} {arguments}".rstrip()


def _executable(file: Path) -> str:
    """Its name if the shell finds it by its name (pipx and uv link to it), otherwise its path."""
    found = shutil.which(file.name)
    linked = found is not None and not file.is_symlink() and Path(found).resolve() == file.resolve()
    return file.name if found == str(file) or linked else _from_here(file)


def _from_here(path: Path) -> str:
    """The path, relative to the current folder if it is inside that folder, and quoted for a shell."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
