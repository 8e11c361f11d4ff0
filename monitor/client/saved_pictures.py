"""Saves the pictures of messages as files."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
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


def picture_path(message: AlertMessage) -> str:
    """Where the picture of a message is saved: ``<camera>/<YYYY-MM-DD>/<HHMMSS.mmm>-<number>-<phase>.jpg``, in UTC.

    The monitor's evidence has the same names, so they sort by date and can be kept together. An event id of another
    form than the monitor's is added as a hash.
    """
    try:
        start = datetime.fromtimestamp(int(message.started_at * 1000) / 1000, UTC)
        day, time = f"{start:%Y-%m-%d}", f"{start:%H%M%S}.{round(start.microsecond / 1000):03d}"
    except (OverflowError, ValueError, OSError):
        day, time = "undated", "0"
    number = re.fullmatch(rf"[0-9a-f-]{{8,80}}-{re.escape(message.camera)}-([0-9]{{1,18}})", message.event_id)
    event = number[1] if number else hashlib.sha256(message.event_id.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{file_name(message.camera)}/{day}/{time}-{event}-{message.phase}.jpg"


class EvidenceFolder:
    """Writes each alert's picture, see ``picture_path``. A file under its name is always complete.

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
        file = self.folder / picture_path(item.message)
        partial = file.with_suffix(".partial")
        try:
            make_private_folder(file.parent)
            write_private(partial, item.jpeg)
            partial.replace(file)
        except OSError as error:
            raise RunError(f"cannot write {file}: {error.strerror}") from error
        return file
