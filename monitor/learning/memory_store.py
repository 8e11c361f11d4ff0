"""Keeps the growing memories of cameras, one file per camera, for the next run.

A file is written whole, under another name first. So it survives the end of the program, or a full disk, at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from monitor.detector.coverage import Coverage
from monitor.detector.motion.motion_detector import Motion
from monitor.errors import MonitorError
from monitor.learning.growing_memory import GrowingMemory
from monitor.learning.held_pieces import Piece
from monitor.learning.waiting_blocks import WaitingBlock
from monitor.learning.watched_clock import SETTLED_S, WatchedClock
from monitor.private_files import make_private_folder, open_private
from monitor.reading import read_file

log = logging.getLogger(__name__)

LARGEST = 100_000_000
"""Bytes of a file; one of a week has about 25 MB."""
_MOST_S = 1e10
_COVERAGE = ("points", "block", "shared")

Arrays = dict[str, NDArray[np.generic]]


class MemoryStore:
    """The files of one folder. It is made when something is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problem = ""
        """Why the last write failed, as a sentence; "" if it succeeded."""

    def path(self, camera: str) -> Path:
        """The file of a camera."""
        return self._folder / f"{camera}.safetensors"

    def load(self, camera: str, base: Motion, settled_s: float = SETTLED_S) -> GrowingMemory:
        """The camera's memory, which goes on where an earlier run ended.

        A file that is damaged, or belongs to another model, is not used; the next one replaces it. Raises UsageError
        as ``GrowingMemory``.
        """
        fresh = GrowingMemory(base, settled_s)
        try:
            arrays = load(read_file(self.path(camera), LARGEST))
            if arrays["of"].tobytes() != _mark(base):
                fresh.notes.append("its model was learned anew, so its memory begins again")
                return fresh
            return _restored(arrays, base, settled_s)
        except FileNotFoundError:
            pass
        except OSError as error:
            fresh.notes.append(f"its memory cannot be read ({error.strerror or error}), so it begins again")
        except (SafetensorError, KeyError, ValueError, IndexError, TypeError, OverflowError, MonitorError):
            fresh.notes.append("its memory on the disk is damaged, so it begins again")
        return fresh

    def forget(self, camera: str) -> None:
        """Delete a camera's file, and what a write that was cut off has left. Raises OSError."""
        path = self.path(camera)
        for each in (path, path.with_name(f".{path.name}.partial")):
            each.unlink(missing_ok=True)

    def save(self, camera: str, memory: GrowingMemory) -> bool:
        """Write a camera's memory. Returns False if this fails, see ``problem``; the file before it stays."""
        path = self.path(camera)
        partial = path.with_name(f".{path.name}.partial")
        try:
            make_private_folder(self._folder)
            with open_private(partial, "wb") as file:
                file.write(save(_arrays(memory)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            self.problem = f"the memory of {camera} cannot be written to {path}: {error.strerror or error}"
            return False
        self.problem = ""
        return True


def _mark(base: Motion) -> bytes:
    """What the features depend on: 32 bytes. A version that has grown has the same mark as the one before it."""
    digest = hashlib.sha256(base.background.tobytes())
    digest.update(base.deviation.tobytes())
    return digest.digest()


def _arrays(memory: GrowingMemory) -> Arrays:
    memory.end_piece()
    found: Arrays = {
        "of": np.frombuffer(_mark(memory.base), np.uint8),
        "watched": np.array([memory.watched_s, *memory.known_s], np.float64),
        "counts": np.array([memory.made, memory.next_number, memory.clip, memory.held.every], np.int64),
        "regimes": memory.known_regimes,
        "began_anew": np.array([memory.began_anew]),
    }
    for name, coverage in (("cells", memory.cells.coverage), ("scenes", memory.scenes)):
        used = np.arange(coverage.points.shape[1]) < coverage.counts[:, None]
        found[f"{name}.counts"], found[f"{name}.radius"] = coverage.counts.astype(np.int64), coverage.radius
        for field in _COVERAGE:
            found[f"{name}.{field}"] = getattr(coverage, field)[used]
    for number, block in enumerate(memory.waiting):
        found |= {f"waiting.{number:05d}.{name}": values for name, values in block.tensors().items()}
    for number, piece in enumerate(memory.held.pieces):
        found |= {f"piece.{number:05d}.{name}": values for name, values in piece.tensors().items()}
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def _restored(arrays: Mapping[str, NDArray[np.generic]], base: Motion, settled_s: float) -> GrowingMemory:
    """Raises KeyError, ValueError, IndexError and TypeError."""
    memory = GrowingMemory(base, settled_s)
    watched = np.asarray(arrays["watched"], np.float64)
    if watched.shape != (3,) or not (np.isfinite(watched) & (watched >= 0) & (watched <= _MOST_S)).all():
        raise ValueError("watched")
    made, number, clip, every = (int(value) for value in np.asarray(arrays["counts"], np.int64))
    if min(made, number, clip) < 0 or every < 1:
        raise ValueError("counts")
    memory.clock = WatchedClock(float(watched[0]))
    memory.known_s, memory.made = watched[1:].copy(), made
    memory.next_number, memory.clip, memory.held.every = number, clip, every
    regimes = np.array(arrays["regimes"], np.int64)
    if regimes.shape != memory.known_regimes.shape or regimes.min() < 0:
        raise ValueError("regimes")
    memory.known_regimes, memory.began_anew = regimes, bool(arrays["began_anew"][0])
    _fill(memory.cells.coverage, arrays, "cells")
    _fill(memory.scenes, arrays, "scenes")
    memory.waiting = [WaitingBlock.load(own, 2 * memory.cells.cells) for own in _parts(arrays, "waiting")]
    most = 2 * memory.cells.cells
    for own in _parts(arrays, "piece"):
        piece = Piece.load(own)
        if len(piece.cells) and not 0 <= piece.cells.min() <= piece.cells.max() < most:
            raise ValueError("cells")
        memory.held.restore(piece)
    return memory


def _fill(coverage: Coverage, arrays: Mapping[str, NDArray[np.generic]], name: str) -> None:
    counts = np.asarray(arrays[f"{name}.counts"], np.int64)
    radius = np.asarray(arrays[f"{name}.radius"], np.float32)
    most = coverage.points.shape[1]
    if counts.shape != coverage.counts.shape or counts.min() < 0 or counts.max() > most:
        raise ValueError(name)
    if radius.shape != coverage.radius.shape or not (np.isfinite(radius) & (radius > 0)).all():
        raise ValueError(name)
    used = np.arange(most) < counts[:, None]
    coverage.counts, coverage.radius = counts.astype(np.intp), radius.copy()
    for field in _COVERAGE:
        array = getattr(coverage, field)
        array[:] = -1 if field == "block" else 0
        array[used] = arrays[f"{name}.{field}"]
    if not np.isfinite(coverage.points).all():
        raise ValueError(name)


def _parts(arrays: Mapping[str, NDArray[np.generic]], kind: str) -> list[Arrays]:
    """The arrays of each piece or block, in order."""
    found: dict[str, Arrays] = {}
    for key in sorted(arrays):
        if key.startswith(f"{kind}."):
            _, number, name = key.split(".", 2)
            found.setdefault(number, {})[name] = arrays[key]
    return list(found.values())
