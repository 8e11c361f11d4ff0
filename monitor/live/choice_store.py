"""Keeps what people have chosen for cameras during a run: a budget of false alarms, and whether alerts are raised.

One JSON file of the monitor's own, beside the journal. It is written whole, under another name first, and is on the
disk before a request is answered. The user's config file is never written.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from monitor.errors import RunError
from monitor.private_files import make_private_folder, open_private
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.reading import MB, read_file
from monitor.settings import Settings

log = logging.getLogger(__name__)

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen for one camera.

    per_day  budget of false alarms per day; None: as the config says
    armed    False: events are recorded, and notify nobody, whatever the schedule says
    """

    per_day: float | None = None
    armed: bool = True


class _Kept(Settings):
    per_day: float | None = Field(None, ge=LEAST_PER_DAY, le=MOST_PER_DAY)
    armed: bool = True


class _File(Settings):
    version: int = Field(_VERSION, ge=1, le=_VERSION)
    cameras: dict[str, _Kept] = Field(default_factory=dict)


_FILE = TypeAdapter(_File)


class ChoiceStore:
    """The choices of all cameras. Any thread may read; only the main thread writes.

    A file that is damaged is kept under another name, and logged: then everything is as the config says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._choices: Mapping[str, Choice] = self._load()

    def of(self, camera: str) -> Choice:
        """What is chosen for a camera."""
        return self._choices.get(camera, Choice())

    def choose(self, camera: str, choice: Choice) -> None:
        """Keep a choice. Raises RunError if it cannot be written: then nothing has changed."""
        others = {name: each for name, each in self._choices.items() if name != camera}
        changed = others if choice == Choice() else {**others, camera: choice}
        content = {"version": _VERSION, "cameras": {name: asdict(each) for name, each in sorted(changed.items())}}
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            make_private_folder(self.path.parent)
            with open_private(partial, "wb") as file:
                file.write(json.dumps(content, indent=1).encode())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            raise RunError(
                f"it cannot be stored in {self.path} ({error.strerror or error}), so nothing has changed: free space "
                "on the disk, or correct the rights of the folder, then try again"
            ) from error
        self._choices = changed  # as a whole: other threads read it

    def _load(self) -> dict[str, Choice]:
        try:
            found = _FILE.validate_json(read_file(self.path, MB))
        except FileNotFoundError:
            return {}
        except OSError as error:
            why = error.strerror or error
            log.warning("%s cannot be read (%s): budgets and arming are as the config says", self.path, why)
            return {}
        except (ValidationError, ValueError):
            aside = self.path.with_name(f"{self.path.name}.damaged")
            try:
                self.path.replace(aside)
            except OSError:
                aside = self.path
            log.warning("%s is damaged, kept as %s: budgets and arming are as the config says", self.path, aside)
            return {}
        return {name: Choice(each.per_day, each.armed) for name, each in found.cameras.items()}
