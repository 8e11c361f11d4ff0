"""What a coordinator must not forget: wanted cameras, who holds them, and epochs that never go back. One JSON file.

It is written whole under another name, flushed to the disk, then renamed, before anybody is told of a change. A file
that is damaged, or of another program, is refused and not changed: to begin anew would give epochs twice.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, ValidationError

from monitor.alerts.message_parts import Camera
from monitor.errors import ConfigError, RunError, first_problem
from monitor.machines.fleet_messages import Epoch, Name
from monitor.private_files import make_private_folder, open_private
from monitor.reading import MB, parse_json, read_file
from monitor.settings import Settings

FORMAT = "true-sight fleet"
VERSION = 1
_LARGEST = 64 * MB


class Wish(Settings):
    """A camera that the fleet is to watch.

    source  as on the command line
    fps     frames per second to analyse
    needs   labels that its node must have
    pin     the one node that may watch it; None: any
    settings  its table of the config file as JSON, without source
    """

    source: str
    fps: float = Field(10.0, gt=0, le=1000)
    needs: dict[str, str] = Field(default_factory=dict)
    pin: Name | None = None
    settings: str = "{}"


class Turn(Settings):
    """A lease. fenced: whether the older lease is no longer renewed because of this one."""

    node: Name
    epoch: Epoch
    fenced: bool = False


class CameraRow(Settings):
    """A camera of the fleet.

    holder, next  who alerts for it, and who is to take over
    let_go        whether the holder is known to have let it go
    floor         the lowest epoch that may be renewed
    why           why it changes: its node is lost, or it moves
    watched_s, blind_s  seconds watched and not watched since the camera joined
    counted_at    up to when they are counted, unix seconds
    """

    wish: Wish
    holder: Turn | None = None
    next: Turn | None = None
    let_go: bool = False
    floor: NonNegativeInt = 0
    why: Literal["", "lost", "moves"] = ""
    watched_s: NonNegativeFloat = 0.0
    blind_s: NonNegativeFloat = 0.0
    counted_at: NonNegativeFloat = 0.0


class NodeRow(Settings):
    """A node that somebody has given an order. heir: the node that takes its cameras; None: any."""

    draining: bool = False
    heir: Name | None = None


class FleetState(Settings):
    """The whole file. epoch: the highest that was given."""

    format: Literal["true-sight fleet"] = "true-sight fleet"
    version: int = Field(VERSION, ge=1, le=VERSION)
    fleet: Name
    epoch: NonNegativeInt = 0
    cameras: dict[Camera, CameraRow] = Field(default_factory=dict)
    nodes: dict[Name, NodeRow] = Field(default_factory=dict)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that there is always a whole one, and it is on the disk. Raises OSError."""
    make_private_folder(path.parent)
    partial = path.with_name(f".{path.name}.partial")
    with open_private(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename, too
    finally:
        os.close(folder)


def read_marked(path: Path, mark: str, what: str) -> Any | None:
    """The JSON document of a file of the fleet; None if there is none. Raises ConfigError for any other content.

    mark: value of its field ``format``; what: the file for people
    """
    try:
        content = parse_json(read_file(path, _LARGEST))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"{what} {path} cannot be read ({error.strerror or error}): correct its rights, or bring its disk back"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{what} {path} is damaged ({error}): put back a good copy; without it, epochs could be given twice"
        ) from error
    if not isinstance(content, dict) or content.get("format") != mark:
        raise ConfigError(
            f"{path} belongs to another program: choose another folder for the fleet; the file was not changed"
        )
    return content


class StateFile:
    """A context manager around the file. On entry, raises ConfigError if it cannot be used, and RunError if a
    coordinator uses it already."""

    def __init__(self, path: Path, fleet: str) -> None:
        self.path, self.fleet = path, fleet
        self._lock: IO[Any] | None = None

    def __enter__(self) -> StateFile:
        try:
            make_private_folder(self.path.parent)
            self._lock = open_private(self.path.with_name(f"{self.path.name}.lock"), "wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            assert self._lock is not None
            self._lock.close()
            raise RunError(
                f"{self.path} is in use by another coordinator: stop that one, or give this fleet another folder"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be used ({error.strerror or error}): choose another folder for the fleet"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def load(self) -> FleetState:
        """What was stored; a new state if there is none. Raises ConfigError; the file is not changed."""
        content = read_marked(self.path, FORMAT, "the state of the fleet")
        if content is None:
            return FleetState(fleet=self.fleet)
        try:
            state = FleetState.model_validate(content)
        except ValidationError as error:
            where, what = first_problem(error)
            raise ConfigError(
                f"the state of the fleet {self.path} is damaged ({where}: {what}): put back a good copy; without it, "
                "epochs could be given twice"
            ) from error
        if state.fleet != self.fleet:
            raise ConfigError(
                f"{self.path} belongs to the fleet {state.fleet!r}, not to {self.fleet!r}: choose another folder"
            )
        return state

    def save(self, state: FleetState) -> None:
        """Store it. Raises OSError: then the file holds what it held."""
        content = {"format": FORMAT, "version": VERSION} | state.model_dump(mode="json", exclude_defaults=True)
        write_atomically(self.path, json.dumps(content).encode())
