"""Saves the pictures of messages as files."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.alerts.messages import AlertMessage
from monitor.client.items import Received
from monitor.errors import ConfigError, RunError


class EvidenceFolder:
    """Writes each alert's picture to ``<event>-<phase>.jpg``. A file under this name is always complete.

    Raises ConfigError if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error

    def save(self, item: Received) -> Path | None:
        """Write the picture of the item; returns its file, or None if there is no picture. Raises RunError."""
        if item.jpeg is None or not isinstance(item.message, AlertMessage):
            return None
        # A received name must not lead out of the folder.
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", item.message.event_id).lstrip(".")[:150]
        file = self.folder / f"{name}-{item.message.phase}.jpg"
        partial = file.with_suffix(".partial")
        try:
            partial.write_bytes(item.jpeg)
            partial.replace(file)
        except OSError as error:
            raise RunError(f"cannot write {file}: {error.strerror}") from error
        return file
