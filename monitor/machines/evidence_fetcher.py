"""Fetches evidence of alerts through the head of a fleet, from the node that has it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from monitor.errors import RefusedError, RunError, UsageError
from monitor.machines.evidence_relay import REPLY, WANT, FilePiece, FileWanted
from monitor.machines.fleet_messages import decoded, encoded
from monitor.machines.fleet_socket import ClientSocket
from monitor.private_files import make_private_folder, open_private
from monitor.sinks.evidence.evidence_files import discard, is_evidence_name, partial_path

ANSWER_S = 10.0
"""A head or node that has not answered after this time counts as away."""
MOST_BYTES = 2_000_000_000
_POLL_S = 0.05


class MissingError(RunError):
    """The node does not have the file: not yet, or no longer."""


class FolderError(RunError):
    """The folder for the files cannot be written."""


class EvidenceFetcher:
    """A context manager around the connection. Only one thread may use it."""

    def __init__(self, store: str, token: str, wait_s: float = ANSWER_S) -> None:
        self._socket = ClientSocket(store, token, "the store of the fleet", complains=False)
        self._wait_s, self._number = wait_s, 0

    def __enter__(self) -> Self:
        self._socket.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.__exit__()

    def fetch(self, node: str, name: str, folder: Path) -> bool:
        """Write a file of evidence below ``folder``, under its own name. False if it is there already.

        Raises UsageError if this is no name of evidence, MissingError, RefusedError if the token is wrong, FolderError
        if the disk refuses the file, and RunError if the node or the head is away. A file under its name is always
        complete.
        """
        if not is_evidence_name(name):
            raise UsageError(f"{name!r} is no name of evidence: take it from the message of the alert")
        path = folder / name
        if path.exists():
            return False
        partial = partial_path(path)
        try:
            make_private_folder(path.parent)
            with open_private(partial, "wb") as stream:
                offset, size = 0, 1
                while offset < size:
                    answer, piece = self._ask(node, name, offset)
                    size = answer.size
                    if size > MOST_BYTES or (not piece and offset < size):
                        raise RunError(f"{name} cannot be fetched: it has changed on {node}, or is too large")  # noqa: TRY301
                    stream.write(piece)
                    offset += len(piece)
            partial.replace(path)
        except OSError as error:
            discard(partial)
            raise FolderError(
                f"{path} cannot be written ({error.strerror or error}): free space, or name another folder with --to"
            ) from error
        except RunError:
            discard(partial)
            raise
        return True

    def _ask(self, node: str, name: str, offset: int) -> tuple[FilePiece, bytes]:
        self._number += 1
        wanted = FileWanted(number=self._number, node=node, name=name, offset=offset)
        deadline, sent = time.monotonic() + self._wait_s, False
        while time.monotonic() < deadline:
            sent = sent or self._socket.send(WANT, encoded(wanted))
            for kind, parts in self._socket.receive(_POLL_S):
                answer = _understood(kind, parts)
                if answer is None or answer.number != wanted.number:
                    continue
                if answer.error:
                    raise (MissingError if answer.missing else RunError)(answer.error)
                return answer, parts[1] if len(parts) > 1 else b""
            if self._socket.refused:
                raise RefusedError(
                    f"the head of the fleet at {self._socket.endpoint} refuses this token: copy the file of the token "
                    "from the machine of the head, and name it with --token-file"
                )
        if sent:
            raise RunError(f"{node}, which has the evidence, does not answer: try again when it is back")
        raise RunError(
            f"nobody answers at {self._socket.endpoint}: start the head of the fleet with `fleet head`, or name its "
            "address with --head"
        )


def _understood(kind: bytes, parts: list[bytes]) -> FilePiece | None:
    try:
        return decoded(FilePiece, parts[0]) if kind == REPLY else None
    except (ValueError, IndexError):
        return None
