"""MATLAB files in memory, by SciPy."""

from __future__ import annotations

import io
from typing import Any

from scipy.io import loadmat, savemat


def saved(variables: dict[str, Any], *, compressed: bool = True) -> bytes:
    """The bytes of a file of level 5 with these variables."""
    file = io.BytesIO()
    savemat(file, variables, do_compression=compressed)  # type: ignore[arg-type]  # the stubs leave out such files
    return file.getvalue()


def loaded(content: bytes) -> dict[str, Any]:
    """The variables of a file."""
    return dict(loadmat(io.BytesIO(content)))  # type: ignore[arg-type]
