"""Saves the pictures of messages as files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from monitor.alerts.messages import AlertMessage
from monitor.client.items import Received
from monitor.errors import ConfigError, RunError
from monitor.private_files import make_private_folder, write_private

_LONGEST = 150


def file_name(received: str) -> str:
    """A received name as the name of a file, at most 150 characters: it cannot lead out of a folder.

    Different names stay different: if the name has to be changed or cut, a hash of it is appended.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", received).lstrip(".")
    if name == received and 0 < len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(received.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{name[: _LONGEST - len(digest) - 1]}-{digest}"


class EvidenceFolder:
    """Writes each alert's picture to ``<event>-<phase>.jpg``. A file under this name is always complete.

    Raises ConfigError if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            make_private_folder(folder)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error

    def save(self, item: Received) -> Path | None:
        """Write the picture of the item; returns its file, or None if there is no picture. Raises RunError."""
        if item.jpeg is None or not isinstance(item.message, AlertMessage):
            return None
        file = self.folder / f"{file_name(item.message.event_id)}-{item.message.phase}.jpg"
        partial = file.with_suffix(".partial")
        try:
            write_private(partial, item.jpeg)
            partial.replace(file)
        except OSError as error:
            raise RunError(f"cannot write {file}: {error.strerror}") from error
        return file
