"""A node's side of the store: asks, fetches and sends, one request at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from monitor.errors import RunError
from monitor.machines.fleet_messages import decoded, encoded
from monitor.machines.fleet_socket import ClientSocket
from monitor.machines.learned_store import digest_of
from monitor.machines.store_messages import (
    ANSWER,
    ASK,
    PIECE_BYTES,
    KeptFile,
    KeptVersion,
    Learned,
    StoreAnswered,
    StoreAsked,
)
from monitor.private_files import open_private
from monitor.reading import open_file

ANSWER_S = 3.0
"""A store that has not answered after this time counts as away."""
_POLL_S = 0.05


class StoreAwayError(RunError):
    """The store does not answer."""


class StoreRefusedError(RunError):
    """The store has refused or could not do what was asked; the text is its sentence."""


class StoreClient:
    """A context manager around the connection. Only one thread may use it.

    ended     whether to give up what is under way
    may_wait  called between the pieces of a file that is sent: False breaks it off; it goes on from there next time

    Methods raise StoreAwayError, StoreRefusedError, and OSError for files of this machine.
    """

    def __init__(
        self, endpoint: str, token: str | None, node: str, ended: Callable[[], bool], wait_s: float = ANSWER_S
    ) -> None:
        self._socket = ClientSocket(endpoint, token, "the store of the fleet")
        self._node, self._ended, self._wait_s = node, ended, wait_s
        self._number = 0

    def __enter__(self) -> Self:
        self._socket.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.__exit__()

    def look(self, camera: str) -> Learned:
        """What a camera has learned."""
        return self._learned("look", camera)

    def claim(self, camera: str, epoch: int) -> Learned:
        """This node watches the camera with this lease. Returns what the store knew before."""
        return self._learned("claim", camera, epoch=epoch)

    def commit(self, camera: str, epoch: int, version: KeptVersion | None, extras: tuple[KeptFile, ...]) -> Learned:
        """Files that were sent hold from now on."""
        return self._learned("commit", camera, epoch=epoch, version=version, extras=extras)

    def fetch(self, camera: str, file: KeptFile, path: Path) -> None:
        """Write a file of the store to ``path``. StoreRefusedError if it is damaged: then nothing is at ``path``."""
        try:
            with open_private(path, "wb") as stream:
                offset = 0
                while offset < file.size:
                    _, parts = self._ask("get", camera, file=file, offset=offset)
                    if not parts or not parts[0]:
                        break
                    stream.write(parts[0])
                    offset += len(parts[0])
                stream.flush()
                os.fsync(stream.fileno())
            damaged = digest_of(path) != file.digest
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if damaged:
            path.unlink(missing_ok=True)
            raise StoreRefusedError(f"{file.name} of {camera} in the store is damaged")

    def send(self, camera: str, file: KeptFile, path: Path, may_wait: Callable[[], bool]) -> bool:
        """Send a file to the store, from where an earlier call has ended. False if it was broken off."""
        answer, _ = self._ask("put", camera, file=file)  # an empty piece asks how much is there
        with open_file(path) as stream:
            while answer.have < file.size:
                if not may_wait():
                    return False
                stream.seek(answer.have)
                piece = stream.read(PIECE_BYTES)
                if not piece:
                    return False  # it is another file by now
                answer, _ = self._ask("put", camera, piece, file=file, offset=answer.have)
        return True

    def _learned(self, what: Literal["look", "claim", "commit"], camera: str, **named: Any) -> Learned:
        answer, _ = self._ask(what, camera, **named)
        return answer.learned or Learned()

    def _ask(
        self,
        what: Literal["look", "claim", "get", "put", "commit"],
        camera: str,
        piece: bytes = b"",
        **named: Any,
    ) -> tuple[StoreAnswered, list[bytes]]:
        self._number += 1
        asked = StoreAsked(number=self._number, node=self._node, what=what, camera=camera, **named)
        deadline, sent = time.monotonic() + self._wait_s, False
        while time.monotonic() < deadline and not self._ended():
            sent = sent or self._socket.send(ASK, encoded(asked), *([piece] if piece else []))
            for kind, parts in self._socket.receive(_POLL_S):
                answer = _understood(kind, parts)
                if answer is None or answer.number != asked.number:
                    continue
                if answer.error:
                    raise StoreRefusedError(answer.error)
                return answer, parts[1:]
        raise StoreAwayError(
            f"the store of the fleet at {self._socket.endpoint} does not answer, so what cameras learn stays on this "
            "node: see that the head runs"
        )


def _understood(kind: bytes, parts: list[bytes]) -> StoreAnswered | None:
    try:
        return decoded(StoreAnswered, parts[0]) if kind == ANSWER else None
    except (ValueError, IndexError):
        return None
