"""What people have chosen for cameras that move between the nodes of a fleet: each camera has a file of its own.

The head keeps it, and the node writes it before the camera is opened. What is chosen while the camera is watched here
is in the file before the request is answered, and the node tells the head.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import ValidationError

from monitor.app.choice_store import Choice, ChoiceStore
from monitor.errors import ConfigError, RunError
from monitor.private_files import write_private
from monitor.reading import MB, read_file
from monitor.state_folder import CHOICES, CHOSEN

_LARGEST = 4 * MB


class CarriedChoices(ChoiceStore):
    """See ChoiceStore. folder: of the files of cameras; it exists. Raises ConfigError as ``arrive``."""

    def __init__(self, path: Path, folder: Path) -> None:
        super().__init__(path)
        self._folder, self._lock = folder, threading.Lock()
        self._taken: dict[str, tuple[int, int]] = {}
        self.arrive()

    def arrive(self) -> None:
        """Take over what was chosen elsewhere. Any thread. Raises ConfigError: a file may hold privacy masks."""
        for path in sorted(self._folder.glob("*.json")):
            camera = path.stem
            with self._lock:
                try:
                    mark = _mark(path)
                    if mark == self._taken.get(camera):
                        continue
                    chosen = Choice.model_validate_json(read_file(path, _LARGEST))
                    self._taken[camera] = mark
                    own = self.of(camera)
                    chosen = chosen.but(relearn_from=own.relearn_from)
                    if chosen != own:
                        super().choose(camera, chosen)
                except (OSError, ValidationError, ValueError, RunError) as error:
                    what = error.strerror if isinstance(error, OSError) else type(error).__name__
                    raise ConfigError(
                        f"{path} cannot be used ({what}), and it may hold privacy masks of {camera}: restart this "
                        "node, or remove the file to watch without them"
                    ) from error

    def choose(self, camera: str, choice: Choice) -> None:
        """See ChoiceStore."""
        with self._lock:
            super().choose(camera, choice)
            path = self._folder / f"{camera}.json"
            partial = path.with_name(f".{path.name}.partial")
            # The version that is learned again is one of this node.
            content = choice.but(relearn_from="").model_dump_json(exclude_defaults=True)
            try:
                write_private(partial, content.encode())
                partial.replace(path)
                self._taken[camera] = _mark(path)
            except OSError as error:
                raise RunError(
                    f"it holds here, but it cannot go with {camera} to another node ({error.strerror}): free space on "
                    "the disk of this node, then ask again"
                ) from error


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def open_choices(beside: Path) -> ChoiceStore:
    """The choices of a run whose journal is in the folder ``beside``. Raises ConfigError."""
    carried = beside / CHOSEN
    if carried.is_dir():  # a node of a fleet has made it
        return CarriedChoices(beside / CHOICES, carried)
    return ChoiceStore(beside / CHOICES)
