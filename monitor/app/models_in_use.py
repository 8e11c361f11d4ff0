"""One monitor per model that a run may write: two would learn into the same folder and undo each other's versions."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.errors import UsageError
from monitor.model.model_store import learned_folder
from monitor.sources.source import Source


class ModelsInUse:
    """The models of a run's cameras, each of which no other run may use until ``close``.

    The locks are those of the operating system, so a run that is killed leaves none behind. A folder that cannot be
    written needs none. ``take`` is called again for each plan of the run; what is held stays held.
    """

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def take(self, sources: Iterable[Source], settings: MonitorConfig) -> None:
        """Hold the models that these sources may write. Raises UsageError if another run holds one of them."""
        for source in sources:
            folder = written_model(source, settings)
            if folder is not None:
                self._take(source.name, folder)

    def close(self) -> None:
        """Let other runs use the models."""
        while self._held:
            os.close(self._held.popitem()[1])

    def _take(self, camera: str, folder: Path) -> None:
        path = lock_of(folder)
        if path in self._held:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return  # nothing can be written here
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(
                f"the model of '{camera}' in {folder} is in use by another monitor, and two would undo each other's "
                "learning: stop that monitor, or give this one another --state"
            ) from None
        except OSError:  # a file system without locks
            os.close(handle)
        else:
            self._held[path] = handle


def written_model(source: Source, settings: MonitorConfig) -> Path | None:
    """The folder of the model that a run may write for a source; None if it only reads one."""
    own = settings.cameras.get(source.name)
    if (own is not None and own.model is not None) or settings.model is not None:
        return None
    models = settings.of_camera(source.name).models_folder
    return models / source.name if source.live or learned_folder(models, source.name) is None else None


def lock_of(folder: Path) -> Path:
    """The file whose lock stands for a model's folder. Its name does not tell the camera's: `forget` leaves it."""
    mark = hashlib.sha256(folder.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return folder.parent / f".{mark}.lock"
