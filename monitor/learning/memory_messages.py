"""The messages to the process in which memories grow: a line of JSON, then the bytes of a frame's small pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from monitor.learning.look import Look
from monitor.stream.regimes import COLUMNS, ROWS

_PICTURE = (ROWS, COLUMNS, 3)
_LONGEST_LINE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message about a camera.

    kind     begin (folder, settled_s), look (a frame), began or ended (an alarm: time_s), end, forget
    payload  the pictures of a look
    """

    camera: str
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def encoded(self) -> bytes:
        """As it is sent."""
        line = {"camera": self.camera, "kind": self.kind, "bytes": len(self.payload), **self.values}
        return json.dumps(line).encode() + b"\n" + self.payload


def message_of(camera: str, look: Look) -> Message:
    """The message of a look."""
    values = {
        "time_s": look.time_s,
        "segment": look.segment,
        "rows": look.grey.shape[0],
        "columns": look.grey.shape[1],
        "moved": look.moved,
        "scores": dict(look.scores),
    }
    return Message(camera, "look", values, look.grey.tobytes() + look.picture.astype(np.float32).tobytes())


def look_of(message: Message) -> Look:
    """The look of a message."""
    values = message.values
    rows, columns = int(values["rows"]), int(values["columns"])
    grey = np.frombuffer(message.payload, np.uint8, rows * columns).reshape(rows, columns)
    picture = np.frombuffer(message.payload[rows * columns :], np.float32).reshape(_PICTURE)
    return Look(values["time_s"], values["segment"], grey, picture, values["moved"], values["scores"])


def read_messages(source: BinaryIO) -> Iterator[Message]:
    """The messages until the source ends; one that is cut off is not given."""
    while line := source.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            return
        values = json.loads(line)
        size = values.pop("bytes")
        payload = source.read(size)
        if len(payload) < size:
            return
        yield Message(values.pop("camera"), values.pop("kind"), values, payload)
