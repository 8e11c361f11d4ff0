"""What people have chosen for cameras of a fleet.

The gateway writes it, the coordinator reads it. Each choice is text that only the monitors of nodes understand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, ValidationError

from monitor.alerts.message_parts import Camera
from monitor.errors import ConfigError, RunError, first_problem
from monitor.machines.fleet_state import read_marked, write_atomically
from monitor.settings import Settings

FORMAT = "true-sight fleet choices"
CHOSEN_FILE = "choices.json"
"""Its name, in the folder of the gateway."""
LARGEST = 1_000_000
"""Longest text of one camera, characters."""


class _File(Settings):
    format: Literal["true-sight fleet choices"]
    version: NonNegativeInt = Field(1, le=1)
    cameras: dict[Camera, Annotated[str, Field(max_length=LARGEST)]]


def read_chosen(path: Path) -> dict[str, str]:
    """Camera -> what is chosen for it; empty without a file. Raises ConfigError."""
    content = read_marked(path, FORMAT, "the list of what people have chosen")
    if content is None:
        return {}
    try:
        return _File.model_validate(content).cameras
    except ValidationError as error:
        where, what = first_problem(error)
        raise ConfigError(
            f"{path} is damaged ({where}: {what}), and it may hold privacy masks: put back a good copy, or move it "
            "away to go on without them"
        ) from error


class ChosenCameras:
    """The file, for the gateway. Raises ConfigError if it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.chosen: Mapping[str, str] = read_chosen(path)

    def put(self, camera: str, choice: str) -> None:
        """Keep what is chosen for a camera. Raises RunError."""
        if self.chosen.get(camera) == choice or len(choice) > LARGEST:
            return
        changed = {**self.chosen, camera: choice}
        try:
            write_atomically(self._path, json.dumps({"format": FORMAT, "version": 1, "cameras": changed}).encode())
        except OSError as error:
            raise RunError(
                f"it holds on the node that watches {camera}, but it cannot be stored in {self._path} "
                f"({error.strerror or error}), so it would not go to another node: free space on the disk of the head, "
                "then ask again"
            ) from error
        self.chosen = changed
