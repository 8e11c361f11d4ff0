"""Keeps what people have chosen for cameras during a run: budget, arming, pauses, places, and cameras of their own.

One JSON file of the monitor's own, beside the journal. It is written whole, under another name first, and is on the
disk before a request is answered. The user's config file is never written.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from monitor.app.link_config import LinkConfig
from monitor.app.place_config import MOST_PLACES, MaskConfig, PlaceName, ZoneConfig
from monitor.errors import ConfigError, RunError
from monitor.private_files import make_private_folder, open_private
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.reading import MB, read_file
from monitor.settings import Settings

log = logging.getLogger(__name__)

_VERSION = 1
_LARGEST = 16 * MB


class Choice(Settings):
    """What is chosen for one camera."""

    per_day: float | None = Field(None, ge=LEAST_PER_DAY, le=MOST_PER_DAY)
    """Budget of false alarms per day; None: as the config says."""
    armed: bool = True
    """False: events are recorded, and notify nobody, whatever the schedule says."""
    paused: bool = False
    """True: nothing is scored."""
    relearn_from: str = ""
    """The newest version of the model when somebody asked to learn again; the camera learns until there is another."""
    masks: dict[PlaceName, MaskConfig] = Field(default_factory=dict, max_length=MOST_PLACES)
    """In addition to those of the config file."""
    zones: dict[PlaceName, ZoneConfig] = Field(default_factory=dict, max_length=MOST_PLACES)
    """In addition to those of the config file."""
    added: LinkConfig | None = None
    """A camera that somebody has added; None for a camera of the config file or the command line."""

    def forgotten(self) -> Choice:
        """The choice of a camera that is forgotten. What protects privacy or says what is watched stays."""
        return Choice(masks=self.masks, zones=self.zones, added=self.added)


class _File(Settings):
    version: int = Field(_VERSION, ge=1, le=_VERSION)
    cameras: dict[str, Choice] = Field(default_factory=dict)


_FILE = TypeAdapter(_File)


def read_choices(path: Path) -> dict[str, Choice]:
    """The choices of a file, by camera. Changes nothing. Raises OSError; ValueError if the file is damaged."""
    return _FILE.validate_json(read_file(path, _LARGEST)).cameras


class ChoiceStore:
    """The choices of all cameras. Any thread may read; only the main thread writes.

    A file that is damaged is kept under another name, and logged: then everything is as the config says. But if it
    holds masks, or cannot be read, the monitor must not start without them: raises ConfigError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._choices: Mapping[str, Choice] = self._load()

    def of(self, camera: str) -> Choice:
        """What is chosen for a camera."""
        return self._choices.get(camera, Choice())

    @property
    def choices(self) -> Mapping[str, Choice]:
        """All choices, by camera."""
        return self._choices

    @property
    def added(self) -> dict[str, LinkConfig]:
        """Cameras that somebody has added, by name."""
        return {name: choice.added for name, choice in self._choices.items() if choice.added is not None}

    def arrive(self) -> None:
        """Settings are about to be read: take over what was chosen elsewhere. Here, there is no elsewhere."""

    def choose(self, camera: str, choice: Choice) -> None:
        """Keep a choice. Raises RunError if it cannot be written: then nothing has changed."""
        others = {name: each for name, each in self._choices.items() if name != camera}
        changed = others if choice == Choice() else {**others, camera: choice}
        cameras = {name: each.model_dump(mode="json", exclude_defaults=True) for name, each in sorted(changed.items())}
        content = {"version": _VERSION, "cameras": cameras}
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
        content = b""
        try:
            content = read_file(self.path, _LARGEST)
            return _FILE.validate_json(content).cameras
        except FileNotFoundError:
            return {}
        except OSError as error:
            if os.path.isfile(self.path):  # noqa: PTH113 - Path.is_file raises an error without rights
                raise ConfigError(
                    f"{self.path} cannot be read ({error.strerror or error}), and it may hold privacy masks: correct "
                    "its rights, or move it away to run without them"
                ) from error
            log.warning("%s cannot be read (%s): cameras are as the config says", self.path, error.strerror or error)
            return {}
        except (ValidationError, ValueError) as error:
            if b'"masks"' in content:
                raise ConfigError(
                    f"{self.path} is damaged, and it holds privacy masks: put back a good copy, or move it away to run "
                    "without them"
                ) from error
            aside = self.path.with_name(f"{self.path.name}.damaged")
            try:
                self.path.replace(aside)
            except OSError:
                aside = self.path
            log.warning("%s is damaged, kept as %s: cameras are as the config says", self.path, aside)
            return {}
