"""What cameras have learned follows them: a thread of a node that fetches it from the store, and brings it there.

Before the node opens a camera, it has what the store knows of it, so the camera does not learn again. While the node
watches a camera, new versions of its model, its threshold and its memory go to the store. Leases and alerts never wait
for any of this. If the store is away, full or damaged, this is said once per minute and tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from monitor.machines.learned_folder import Fetch, Found, LearnedFolder, wins
from monitor.machines.store_client import StoreAwayError, StoreClient, StoreRefusedError
from monitor.machines.store_messages import KeptFile, Learned

log = logging.getLogger("monitor")

WAIT_S = 15.0
"""A camera is opened after this time, even without an answer of the store. The coordinator waits longer for a node."""
LOOK_EVERY_S = 60.0
"""What a camera learns is compared with the store so often; at once if there is a new version or a verdict."""
AGAIN_S = 2.0
COMPLAIN_EVERY_S = 60.0
_ROUND_S = 0.5


@dataclass
class _Wanted:
    """A camera that the node is to open. opened: it may be; known: the store has answered."""

    asked_at: float
    opened: bool = False
    known: bool = False
    due_at: float = 0.0


@dataclass
class _Held:
    """A camera that the node watches. mark: of what was compared last, see LearnedFolder."""

    epoch: int
    due_at: float = 0.0
    mark: str = ""


class LearnedCourier:
    """A context manager around the thread. Its methods never wait; one thread may call them.

    node    its name
    folder  where its monitor keeps what cameras learn
    store   address of the store of the fleet; token: of the fleet
    """

    def __init__(
        self,
        node: str,
        folder: LearnedFolder,
        store: str,
        token: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._folder, self._clock = node, folder, clock
        self._ended, self._woken, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._client = StoreClient(store, token, node, self._ended.is_set)
        self._wanted: dict[str, _Wanted] = {}
        self._held: dict[str, _Held] = {}
        self._changed = False
        self._complained: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="learned")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._woken.set()
        self._thread.join()

    def want(self, camera: str) -> None:
        """The node is to open a camera: fetch what it has learned. See ``is_ready``."""
        with self._lock:
            self._wanted[camera] = _Wanted(self._clock())
        self._woken.set()

    def is_ready(self, camera: str) -> bool:
        """Whether the camera may be opened: all is here that can be had, or it takes too long."""
        late = False
        with self._lock:
            wanted = self._wanted.get(camera)
            if wanted is None:
                return True
            if not wanted.opened and self._clock() - wanted.asked_at > WAIT_S:
                wanted.opened = late = True
            opened = wanted.opened
        if late:
            log.warning(
                "%s: opened with what this node has, because the store of the fleet has not answered in %g s; what the "
                "camera has learned elsewhere is used as soon as it comes",
                camera,
                WAIT_S,
            )
        return opened

    def hold(self, camera: str, epoch: int) -> None:
        """The node watches the camera with this lease: bring what it learns to the store."""
        with self._lock:
            self._held[camera] = _Held(epoch)
        self._woken.set()

    def drop(self, camera: str) -> None:
        """The node lets the camera go."""
        with self._lock:
            self._wanted.pop(camera, None)
            self._held.pop(camera, None)

    def take_changed(self) -> bool:
        """Whether a version has come for a camera that is open already: the monitor must look for it."""
        with self._lock:
            changed, self._changed = self._changed, False
        return changed

    # The thread

    def _run(self) -> None:
        with self._client:
            while not self._ended.is_set():
                self._woken.wait(_ROUND_S)
                self._woken.clear()
                try:
                    self._round()
                except StoreAwayError as error:
                    if not self._ended.is_set():
                        self._complain("away", str(error))
                    self._ended.wait(AGAIN_S)

    def _round(self) -> None:
        """Do what is due. Raises StoreAwayError."""
        while (camera := self._next_wanted()) is not None and not self._ended.is_set():
            self._guarded(camera, self._bring)
        now = self._clock()
        with self._lock:
            held = list(self._held.items())
        for camera, each in held:
            if self._next_wanted() is not None:
                self._woken.set()
                return
            if now >= each.due_at or self._folder.mark(camera) != each.mark:
                each.due_at, each.mark = now + LOOK_EVERY_S, self._folder.mark(camera)
                self._guarded(camera, self._keep)

    def _next_wanted(self) -> str | None:
        now = self._clock()
        with self._lock:
            due = (name for name, each in self._wanted.items() if not each.known and now >= each.due_at)
            return next(due, None)

    def _guarded(self, camera: str, do: Callable[[str], None]) -> None:
        """Raises StoreAwayError; other errors are said. The camera is opened all the same."""
        with self._lock:
            wanted, held = self._wanted.get(camera), self._held.get(camera)
        try:
            do(camera)
        except StoreAwayError:
            if held is not None:
                held.due_at = 0.0
            raise
        except StoreRefusedError as error:
            self._complain(str(error), f"{camera}: {error}")
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or error
            self._complain(
                "disk",
                f"{camera}: what it has learned cannot be read or written on this node ({what}): free space on its "
                "disk, or bring the disk back",
            )
        else:
            return
        if wanted is not None and not wanted.known:
            wanted.opened, wanted.due_at = True, self._clock() + LOOK_EVERY_S

    def _bring(self, camera: str) -> None:
        """Fetch what a camera has learned, before it is opened."""
        learned = self._client.look(camera)
        with self._lock:
            wanted = self._wanted.get(camera)
        if wanted is None:
            return
        found = self._folder.look(camera)
        installed = self._install(camera, learned, found)
        if learned.node != self._node and not wanted.opened:
            here = {file.digest for file in found.extras}
            for file in learned.extras:
                if file.digest not in here:
                    self._guarded_extra(camera, file)
        with self._lock:
            self._changed = self._changed or (wanted.opened and installed)
            wanted.opened = wanted.known = True

    def _guarded_extra(self, camera: str, file: KeptFile) -> None:
        try:
            self._folder.install_extra(camera, file, self._fetch(camera))
        except StoreRefusedError as error:
            self._complain(str(error), f"{error}: {camera} goes on without it")

    def _install(self, camera: str, learned: Learned, found: Found) -> bool:
        """Use the store's newest version that is whole, if it is newer than what is here. Returns whether it was."""
        if not wins(learned, found, self._node):
            return False
        for version in learned.versions:
            if version.digest in found.versions[:1]:
                return False
            try:
                place = self._folder.install(camera, version, self._fetch(camera))
            except StoreRefusedError as error:
                self._complain(str(error), f"{error}: an older version is used, if there is one")
                continue
            log.info("%s: %s has come from %s", camera, place.name, learned.node or "the store")
            return True
        return False

    def _fetch(self, camera: str) -> Fetch:
        return lambda file, path: self._client.fetch(camera, file, path)

    def _keep(self, camera: str) -> None:
        """Bring what a camera has learned to the store."""
        with self._lock:
            held = self._held.get(camera)
        if held is None:
            return
        found = self._folder.look(camera)  # before the answer: what is learned meanwhile is newer than both
        learned = self._client.claim(camera, held.epoch)
        if wins(learned, found, self._node):
            if self._install(camera, learned, found):
                with self._lock:
                    self._changed = True
                held.mark = self._folder.mark(camera)
            return
        newest = found.newest if found.newest is not None and not _is_newest(learned, found) else None
        known = {file.digest for file in learned.extras}
        extras = tuple(file for file in found.extras if file.digest not in known)
        for file in (*(newest.files if newest else ()), *extras):
            if not self._client.send(camera, file, found.paths[file.digest], self._may_wait):
                held.due_at = 0.0
                return
        if newest is not None or extras:
            self._client.commit(camera, held.epoch, newest, extras)

    def _may_wait(self) -> bool:
        """Cameras that are to be opened come first."""
        return not self._ended.is_set() and self._next_wanted() is None

    def _complain(self, about: str, sentence: str) -> None:
        now = self._clock()
        if now - self._complained.get(about, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self._complained[about] = now
            log.error("%s", sentence)


def _is_newest(learned: Learned, found: Found) -> bool:
    return bool(learned.versions) and found.newest is not None and learned.versions[0].digest == found.newest.digest
