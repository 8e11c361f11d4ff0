"""Whether the packages of the page are installed: they are an extra."""

from __future__ import annotations

import importlib.util

from monitor.errors import UsageError
from monitor.text.commands import python_command

_PACKAGES = ("argon2", "fastapi", "starlette", "uvicorn")


def is_installed() -> bool:
    """Whether the page can be served."""
    return all(importlib.util.find_spec(name) for name in _PACKAGES)


def check_installed() -> None:
    """Raise UsageError if the page cannot be served."""
    if not is_installed():
        raise UsageError(
            f"the page needs more packages: run `{python_command('-m pip install')} 'true-sight[web]'`, "
            "or in a checkout with '.[web]'"
        )
