"""The store on the network, in a process of its own: no file of a camera delays a lease or an alert.

Evidence goes through the same socket, see ``evidence_relay``.
"""

from __future__ import annotations

import fcntl
import logging
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from monitor.errors import MonitorError, RunError, UsageError
from monitor.machines.evidence_relay import EvidenceRelay
from monitor.machines.fleet_messages import PROTOCOL, decoded, encoded
from monitor.machines.fleet_socket import COMPLAIN_EVERY_S, ServerSocket
from monitor.machines.learned_store import LearnedStore
from monitor.machines.store_messages import ANSWER, ASK, StoreAnswered, StoreAsked
from monitor.private_files import make_private_folder, open_private

log = logging.getLogger("monitor")

_AT_A_TIME = 20  # messages; each may hold a piece


class StoreServer:
    """A context manager around store and socket. Only one thread may use it: call ``pump`` often.

    endpoint  where nodes connect
    token     of the fleet; None: none is needed, only on this machine

    On entry, raises BindError, and RunError if another store uses the folder. A disk that is full or away is said, and
    tried again with each request.
    """

    def __init__(self, folder: Path, endpoint: str, token: str | None) -> None:
        self.store, self.socket = LearnedStore(folder), ServerSocket(endpoint, token)
        self.relay = EvidenceRelay(self.socket)
        self.malformed = 0
        """Messages that were none of the fleet's."""
        self._complained_at = -COMPLAIN_EVERY_S

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._lock(stack)
            stack.enter_context(self.socket)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _lock(self, stack: ExitStack) -> None:
        folder = self.store.folder
        try:
            make_private_folder(folder)
            lock = stack.enter_context(open_private(folder / ".lock", "wb"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"the store {folder} is in use by another head: name another folder with --store") from error
        except OSError as error:
            log.error("the store %s cannot be written (%s): bring its disk back", folder, error.strerror or error)  # noqa: TRY400

    def pump(self, timeout_s: float) -> None:
        """Answer what has come, waiting at most ``timeout_s`` seconds for it."""
        for peer, kind, parts in self.socket.receive(timeout_s, _AT_A_TIME):
            try:
                if self.relay.take(peer, kind, parts):
                    continue
                asked = decoded(StoreAsked, parts[0] if kind == ASK else b"")
                piece = parts[1] if len(parts) > 1 else b""
            except (ValueError, IndexError) as error:
                self.malformed += 1
                log.debug("malformed message of a peer: %s", error)
                continue
            answer, content = self._answer(asked, piece)
            self.socket.send(peer, ANSWER, encoded(answer), *([content] if content else []))

    def _answer(self, asked: StoreAsked, piece: bytes) -> tuple[StoreAnswered, bytes]:
        try:
            return self._do(asked, piece)
        except RunError as error:
            now = time.monotonic()
            if now - self._complained_at >= COMPLAIN_EVERY_S:
                self._complained_at = now
                log.error("%s", error)  # noqa: TRY400 - the sentence says all
            return StoreAnswered(number=asked.number, error=str(error)), b""
        except MonitorError as error:
            return StoreAnswered(number=asked.number, error=str(error)), b""

    def _do(self, asked: StoreAsked, piece: bytes) -> tuple[StoreAnswered, bytes]:
        """Raises MonitorError."""
        store, camera, epoch, file = self.store, asked.camera, asked.epoch, asked.file
        if asked.protocol != PROTOCOL:
            raise UsageError(
                f"{asked.node} speaks version {asked.protocol} of the fleet's protocol, and this store {PROTOCOL}: "
                "install the same version of True Sight on all machines"
            )
        answer, content = StoreAnswered(number=asked.number), b""
        match asked.what:
            case "look":
                answer = answer.model_copy(update={"learned": store.look(camera)})
            case "claim" if epoch is not None:
                answer = answer.model_copy(update={"learned": store.claim(camera, asked.node, epoch)})
            case "get" if file is not None:
                content = store.piece(camera, file, asked.offset)
            case "put" if file is not None:
                answer = answer.model_copy(update={"have": store.put(camera, file, asked.offset, piece)})
            case "commit" if epoch is not None:
                learned = store.commit(camera, asked.node, epoch, asked.version, asked.extras)
                answer = answer.model_copy(update={"learned": learned})
            case _:
                raise UsageError("the request is not complete")
        return answer, content
