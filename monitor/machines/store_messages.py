"""What nodes and the store of a fleet tell each other: what cameras have learned, in files of known content.

JSON on the wire, frozen. Each request has one answer and can be repeated: it does the same again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from monitor.alerts.message_parts import Camera, WireModel
from monitor.machines.fleet_messages import PROTOCOL, Epoch, Name

ASK, ANSWER = b"q", b"v"
PIECE_BYTES = 262_144
"""Bytes of a file per message."""
MOST_BYTES = 500_000_000
"""Bytes of a file; a model of one camera has some 10 MB."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Literal["model.json", "weights.safetensors", "thresholds", "memory", "taught"]
VERSION_FILES: tuple[FileName, ...] = ("model.json", "weights.safetensors")
EXTRA_FILES: tuple[FileName, ...] = ("thresholds", "memory", "taught")
"""What a camera has learned besides its model, the last one from people; a model can be used without."""


class KeptFile(WireModel):
    """A file of a camera. digest: SHA-256 of its content; size in bytes."""

    name: FileName
    digest: Digest
    size: Annotated[int, Field(ge=0, le=MOST_BYTES)]


class KeptVersion(WireModel):
    """A version of a camera's model: its number at the node that has sent it, and its files."""

    number: PositiveInt
    files: tuple[KeptFile, ...] = Field(max_length=len(VERSION_FILES))

    @property
    def digest(self) -> str:
        """Names the version: the digest of its card, which holds that of the weights. "" if it has no card."""
        return next((file.digest for file in self.files if file.name == "model.json"), "")


class Learned(WireModel):
    """What a camera has learned, as far as the store knows.

    epoch, node  of the last lease under which a node has claimed the camera; 0 and "": none has
    versions     the newest first
    extras       the newest state of other files
    """

    epoch: NonNegativeInt = 0
    node: str = ""
    versions: tuple[KeptVersion, ...] = ()
    extras: tuple[KeptFile, ...] = ()


class StoreAsked(WireModel):
    """A node asks.

    what     ``look``: what has the camera learned? ``claim``: the same, and the node watches it from now on with the
             lease of ``epoch``; ``get``: a piece of ``file``; ``put``: a piece, which follows, of ``file``; ``commit``:
             ``version`` and ``extras`` hold from now on
    offset   of the piece, in bytes
    """

    protocol: PositiveInt = PROTOCOL
    number: PositiveInt
    node: Name
    what: Literal["look", "claim", "get", "put", "commit"]
    camera: Camera
    epoch: Epoch | None = None
    file: KeptFile | None = None
    offset: NonNegativeInt = 0
    version: KeptVersion | None = None
    extras: tuple[KeptFile, ...] = Field((), max_length=len(EXTRA_FILES))


class StoreAnswered(WireModel):
    """The answer to a StoreAsked; for ``get``, the piece follows.

    error    one sentence if it was refused or failed, else ""
    learned  for ``look``, ``claim`` and ``commit``; for ``claim``, as it was before
    have     for ``put``: how many bytes of the file the store has
    """

    number: PositiveInt
    error: str = ""
    learned: Learned | None = None
    have: NonNegativeInt = 0
