"""What a gateway must not forget: the epochs that it has fenced, and the last step that it has taken of each.

The journal is the truth: each message in it names its step. The ledger is a summary up to a position of the journal. At
the start, what the journal holds after that position is added. So a gateway that is killed between two saves neither
repeats nor loses a step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, TypeAdapter, ValidationError

from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import STORED_TOPICS
from monitor.alerts.message_parts import Camera, LeaseBody
from monitor.errors import ConfigError, first_problem
from monitor.machines.fleet_messages import Epoch, Name
from monitor.machines.fleet_state import read_marked, write_atomically
from monitor.settings import Settings

FORMAT = "true-sight gateway"
MOST_EPOCHS = 16
"""Epochs per camera of which the last step is known. Steps of older ones are refused."""
MOST_CLOSED = 10_000
"""Events that the gateway itself has ended, and of which it ignores what comes late."""
_LEASE = TypeAdapter(LeaseBody)


class _File(Settings):
    format: str
    version: int = Field(1, ge=1, le=1)
    gateway: Name
    position: NonNegativeInt = 0
    fences: dict[Camera, tuple[Epoch, Name]] = Field(default_factory=dict)
    taken: dict[Camera, dict[Epoch, NonNegativeInt]] = Field(default_factory=dict)
    closed: list[str] = Field(default_factory=list)


@dataclass
class Ledger:
    """fences: camera -> the lowest epoch that counts, and its node; taken: camera -> epoch -> position at the node."""

    path: Path
    gateway: str
    fences: dict[str, tuple[int, str]] = field(default_factory=dict)
    taken: dict[str, dict[int, int]] = field(default_factory=dict)
    closed: dict[str, None] = field(default_factory=dict)
    dirty: bool = False

    @classmethod
    def open(cls, path: Path, gateway: str, journal: Journal) -> Ledger:
        """The ledger of a gateway, up to date with its journal. Raises ConfigError if the file cannot be used, and
        JournalError."""
        content = read_marked(path, FORMAT, "the ledger of the gateway")
        if content is None:
            content = {"format": FORMAT, "gateway": gateway}
        try:
            kept = _File.model_validate(content)
        except ValidationError as error:
            where, what = first_problem(error)
            raise ConfigError(
                f"the ledger of the gateway {path} is damaged ({where}: {what}): put back a good copy, or move it "
                "away, so that the gateway reads its whole journal"
            ) from error
        if kept.gateway != gateway:
            raise ConfigError(
                f"{path} belongs to the gateway {kept.gateway!r}, not to {gateway!r}: choose another folder"
            )
        ledger = cls(path, gateway, dict(kept.fences), {c: dict(e) for c, e in kept.taken.items()})
        ledger.closed = dict.fromkeys(kept.closed)
        after, done = kept.position, False
        while not done:
            page = journal.page(after, STORED_TOPICS, limit=500, max_bytes=4_000_000, pictures=False)
            for entry in page.entries:
                ledger._read(entry.body)
            after, done = page.next, page.done
        return ledger

    def _read(self, body: bytes) -> None:
        try:
            message: Any = json.loads(body)
            lease = _LEASE.validate_python(message.get("lease"))
            self.note(str(message["camera"]), lease.epoch, lease.seq, lease.node)
            if message.get("interrupted") is True:
                self.close_event(str(message["event_id"]))
        except (ValueError, KeyError, AttributeError):
            return  # of a monitor that was no gateway

    def last(self, camera: str, epoch: int) -> int | None:
        """Position of the last step taken; 0 without one; None if the epoch is too old to know."""
        epochs = self.taken.get(camera, {})
        if epoch not in epochs and len(epochs) >= MOST_EPOCHS and epoch < min(epochs):
            return None
        return epochs.get(epoch, 0)

    def note(self, camera: str, epoch: int, position: int, node: str) -> None:
        """A step was taken. Its epoch is from the coordinator, so what is older does not count any more."""
        if epoch > self.fences.get(camera, (0, ""))[0]:
            self.fences[camera] = epoch, node
        epochs = self.taken.setdefault(camera, {})
        epochs[epoch] = max(position, epochs.get(epoch, 0))
        if len(epochs) > MOST_EPOCHS:
            del epochs[min(epochs)]
        self.dirty = True

    def close_event(self, event_id: str) -> None:
        """The gateway has ended an event."""
        self.closed[event_id] = None
        while len(self.closed) > MOST_CLOSED:
            del self.closed[next(iter(self.closed))]
        self.dirty = True

    def save(self, position: int) -> None:
        """Store it. position: of the last message in the journal. Raises OSError."""
        content = {
            "format": FORMAT,
            "version": 1,
            "gateway": self.gateway,
            "position": position,
            "fences": self.fences,
            "taken": self.taken,
            "closed": list(self.closed),
        }
        write_atomically(self.path, json.dumps(content).encode())
        self.dirty = False
