"""Files and folders for this user only: they show what cameras see, and they may be copied to shared disks.

Files are 0600 and folders 0700, whatever the umask allows. A folder that exists keeps its mode: the user may share it
on purpose.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_FILE = 0o600
_FOLDER = 0o700


def make_private_folder(folder: Path) -> None:
    """Make the folder and the missing folders above it. Raises OSError, also if a file has this name."""
    if folder.is_dir():
        return
    for part in (*reversed(folder.parents), folder):
        if not part.is_dir():
            try:
                part.mkdir(mode=_FOLDER, exist_ok=True)
            except FileExistsError as error:  # "File exists" would say nothing to who looks for a folder
                raise NotADirectoryError(errno.ENOTDIR, f"{part} is not a folder", str(part)) from error


def make_private_file(path: Path) -> None:
    """Make an empty file for a library that opens it by name, unless there is one. Raises OSError."""
    os.close(_opened(str(path), os.O_WRONLY | os.O_CREAT))


def make_private(path: Path) -> None:
    """Make an existing file private, without opening it. If it belongs to another user, nothing changes."""
    with suppress(OSError):
        path.chmod(_FILE)


def open_private(path: Path, mode: str, encoding: str | None = None) -> IO[Any]:
    """Like ``open``, for writing. A file that existed becomes private. Raises OSError."""
    return open(path, mode, encoding=encoding, opener=_opened)


def write_private(path: Path, content: bytes) -> None:
    """Write a file, replacing what it held. Raises OSError."""
    with open_private(path, "wb") as file:
        file.write(content)


def _opened(path: str, flags: int) -> int:
    fd = os.open(path, flags, _FILE)
    with suppress(OSError):  # it belongs to another user
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.fchmod(fd, _FILE)
    return fd
