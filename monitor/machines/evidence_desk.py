"""A node's side of evidence: a thread that reads pieces of its files for those who ask through the head."""

from __future__ import annotations

import logging
import os
import threading
import time
import tomllib
from pathlib import Path
from typing import Any, Self

from monitor.machines.evidence_relay import FOUND, HELLO, HELLO_EVERY_S, PASSED, FilePiece, FileWanted, NodeHello
from monitor.machines.fleet_messages import decoded, encoded
from monitor.machines.fleet_socket import ClientSocket
from monitor.machines.store_messages import PIECE_BYTES
from monitor.reading import open_file
from monitor.sinks.evidence.evidence_files import found_evidence
from monitor.sinks.evidence.evidence_settings import EvidenceSettings

log = logging.getLogger("monitor")

_WAIT_S = 0.2


def evidence_folder(settings: str) -> Path | None:
    """Where a monitor with these settings, a checked TOML text, keeps evidence; None if it keeps none."""
    table: dict[str, Any] = tomllib.loads(settings).get("evidence", {})
    evidence = EvidenceSettings.model_validate(table)
    return evidence.folder if evidence.enabled else None


class EvidenceDesk:
    """A context manager around the thread.

    node    its name; folder: its evidence, None if it keeps none
    store   address of the store of the fleet; token: of the fleet
    """

    def __init__(self, node: str, folder: Path | None, store: str, token: str | None) -> None:
        self._node, self._folder = node, folder
        self._socket = ClientSocket(store, token, "the store of the fleet", complains=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        hello_at = 0.0
        with self._socket:
            while not self._ended.is_set():
                if time.monotonic() >= hello_at and self._socket.send(HELLO, encoded(NodeHello(node=self._node))):
                    hello_at = time.monotonic() + HELLO_EVERY_S
                for kind, parts in self._socket.receive(_WAIT_S):
                    try:
                        self._take(kind, parts)
                    except (ValueError, IndexError) as error:
                        log.debug("malformed message: %s", error)

    def _take(self, kind: bytes, parts: list[bytes]) -> None:
        """Raises ValueError and IndexError."""
        if kind != PASSED:
            raise ValueError("unknown kind")
        client, wanted = parts[0], decoded(FileWanted, parts[1])
        answer, piece = self._read(wanted)
        self._socket.send(FOUND, client, encoded(answer), piece)

    def _read(self, wanted: FileWanted) -> tuple[FilePiece, bytes]:
        number = wanted.number
        if self._folder is None:
            why = f"{self._node} keeps no evidence: set [evidence] enabled in its file of `fleet node --config`"
            return FilePiece(number=number, error=why), b""
        path = found_evidence(self._folder, wanted.name)
        if path is None:
            why = f"{self._node} does not have {wanted.name}: it is not written yet, or was deleted"
            return FilePiece(number=number, error=why, missing=True), b""
        try:
            with open_file(path) as stream:
                size = os.fstat(stream.fileno()).st_size
                stream.seek(wanted.offset)
                return FilePiece(number=number, size=size), stream.read(PIECE_BYTES)
        except OSError as error:
            why = f"{wanted.name} cannot be read on {self._node} ({error.strerror or error}): check its disk"
            return FilePiece(number=number, error=why), b""
