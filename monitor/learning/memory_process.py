"""The process in which the memories of all cameras grow: ``python -m monitor.learning.memory_process FOLDER``.

FOLDER holds the memories. On stdin, it gets messages (``memory_messages``); on stdout, it gives JSON lines: what it has
to say, and the versions that it has written. It ends when its stdin is closed, after it has written all memories.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from monitor.detector.motion.motion_detector import Motion
from monitor.errors import MonitorError
from monitor.learning.growing_memory import GrowingMemory, Grown
from monitor.learning.grown_version import write_version, write_version_apart
from monitor.learning.memory_messages import Message, look_of, read_messages
from monitor.learning.memory_store import MemoryStore
from monitor.model.model_store import load_model
from monitor.processes import die_first
from monitor.text.durations import in_words

CHECKPOINT_S = 600.0
"""Seconds between two writes of all memories: a process that is killed loses no more than this."""

Tell = Callable[[dict[str, Any]], None]


class MemoryWorker:
    """The memories of all cameras of a run.

    tell   gives a line: a camera with ``say``, ``warn``, ``version``, or ``ended``: its memory is written, and let go
    clock  seconds, for checkpoints only
    write  writes a version
    """

    def __init__(
        self,
        store: MemoryStore,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[Path, Grown], Path] = write_version,
    ) -> None:
        self._write = write
        self._store, self._tell, self._clock = store, tell, clock
        self._memories: dict[str, tuple[GrowingMemory, Path]] = {}
        self._next_s = clock() + CHECKPOINT_S
        self._problem = ""

    def handle(self, message: Message) -> None:
        """Take the next message."""
        camera, kind = message.camera, message.kind
        if kind == "begin":
            self._begin(camera, Path(str(message.values["folder"])), float(message.values["settled_s"]))
        elif kind == "end":
            if camera in self._memories:
                self._save(camera)
                del self._memories[camera]
            self._tell({"camera": camera, "ended": True})
        elif kind == "forget":
            self._memories.pop(camera, None)
            self._store.forget(camera)
        elif camera in self._memories:
            memory, folder = self._memories[camera]
            if kind == "look":
                memory.take(look_of(message))
                self._say(camera, memory)
                if memory.due:
                    self._make(camera, memory, folder)
            elif kind == "began":
                memory.alarm_began(float(message.values["time_s"]))
            elif kind == "ended":
                memory.alarm_ended(float(message.values["time_s"]))
        if self._clock() >= self._next_s:
            self.save()

    def failed(self, camera: str, error: Exception) -> None:
        """The memory of a camera has failed: what was written of it stays, and the other cameras go on."""
        self._memories.pop(camera, None)
        self._tell({"camera": camera, "warn": f"its memory does not grow any more ({type(error).__name__}: {error})"})

    def save(self) -> None:
        """Write all memories."""
        self._next_s = self._clock() + CHECKPOINT_S
        for camera in self._memories:
            self._save(camera)

    def _begin(self, camera: str, folder: Path, settled_s: float) -> None:
        try:
            model = load_model(folder, only=Motion.name)
            motion = next((own for own in model.detectors if isinstance(own, Motion)), None)
            if motion is None:
                return
            if camera in self._memories:
                base = self._memories[camera][0].base
                if (base.background == motion.background).all() and (base.deviation == motion.deviation).all():
                    return  # a version that has grown from this memory, or one that was rolled back to
                self._save(camera)
            memory = self._store.load(camera, motion, settled_s)
        except MonitorError as error:
            self._memories.pop(camera, None)
            self._tell({"camera": camera, "say": str(error)})
            return
        self._memories[camera] = memory, folder
        self._say(camera, memory)

    def _make(self, camera: str, memory: GrowingMemory, folder: Path) -> None:
        """Write a version. If this fails, it is said, and the next one is made when it is due."""
        self._save(camera)  # a fault in what follows must not repeat at once in the next process
        try:
            version = self._write(folder, memory.make())
        except (MonitorError, OSError) as error:
            why = error.strerror or error if isinstance(error, OSError) else error
            self._tell(
                {"camera": camera, "warn": f"no version was made of {in_words(memory.watched_s)} watched: {why}"}
            )
            return
        self._save(camera)
        said = f"version {version.name}: learned on from {in_words(memory.watched_s)} watched"
        self._tell({"camera": camera, "say": said, "version": str(version)})

    def _say(self, camera: str, memory: GrowingMemory) -> None:
        for note in memory.notes:
            self._tell({"camera": camera, "say": note})
        memory.notes.clear()

    def _save(self, camera: str) -> None:
        saved = self._store.save(camera, self._memories[camera][0])
        if not saved and not self._problem:
            self._tell({"camera": camera, "warn": f"{self._store.problem}; it is tried again"})
        self._problem = "" if saved else self._store.problem


def run(folder: Path, source: BinaryIO, tell: Tell) -> None:
    """Handle messages until the source ends, then write all memories."""
    worker = MemoryWorker(MemoryStore(folder), tell, write=write_version_apart)
    for message in read_messages(source):
        try:
            worker.handle(message)
        except Exception as error:  # noqa: BLE001 - an error of one camera must not end the others
            worker.failed(message.camera, error)
    worker.save()


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import cv2

    cv2.setNumThreads(1)
    die_first()
    # A service manager stops all processes at once. This one ends with its input, when all memories are written.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    run(Path(sys.argv[1]), sys.stdin.buffer, _print)
