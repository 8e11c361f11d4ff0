"""Pictures in memory shared by two processes: one process writes them, the other reads them without a copy."""

from __future__ import annotations

import mmap
import os
import weakref
from collections import deque

import numpy as np

from monitor.types import Image

SLOTS = 12
"""Number of slots for pictures: some are being written while others wait for analysis."""


class PictureWriter:
    """Writes pictures into slots of the memory behind a file descriptor. The memory grows if necessary."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map: mmap.mmap | None = None
        self._start = self._room = 0  # offset of the first slot, and bytes per slot
        self._shape: tuple[int, ...] = (0, 0, 3)

    def likely(self, slot: int) -> Image | None:
        """The memory of a slot as a picture of the last written size; None before the first picture."""
        return None if self._map is None else self._at(self._map, slot)

    def write(self, slot: int, image: Image) -> int:
        """Write a picture, (H, W, 3) uint8, to a slot, unless it is already there; returns its offset, bytes."""
        if image.nbytes > self._room or self._map is None:
            # The new slots start after the old ones, because the reader may still use pictures in the old slots.
            self._start, self._room = self._start + SLOTS * self._room, image.nbytes
            os.ftruncate(self._fd, self._start + SLOTS * self._room)
            self._map = mmap.mmap(self._fd, 0)
        self._shape = image.shape
        memory = self._at(self._map, slot)
        if image.__array_interface__["data"][0] != memory.__array_interface__["data"][0]:
            np.copyto(memory, image)
        return self._start + slot * self._room

    def _at(self, memory: mmap.mmap, slot: int) -> Image:
        return np.ndarray(self._shape, np.uint8, memory, self._start + slot * self._room)


class PictureReader:
    """The reading side: returns pictures without a copy, and tracks which slots are free.

    The memory has no file name, so nothing is left behind. A slot is free again when nothing refers to its picture any
    more. If callers keep so many pictures that no slot is free, the next picture is copied.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("pictures", os.MFD_CLOEXEC)
        self._map: mmap.mmap | None = None
        self._free = deque(range(SLOTS))  # its methods are atomic, because pictures may be released in any thread

    def take_slot(self) -> int:
        """Take a slot for the next picture."""
        return self._free.popleft()

    @property
    def free(self) -> int:
        """Number of free slots."""
        return len(self._free)

    def give_back(self, slot: int) -> None:
        """Return a slot that holds no picture."""
        self._free.appendleft(slot)

    def picture(self, slot: int, offset: int, width: int, height: int, *, more: bool = False) -> Image:
        """The picture in a slot, (height, width, 3) uint8. Raises ValueError if the memory ends inside the picture.

        more: slots are already taken for the next pictures, so no slot needs to be free after this picture.
        """
        end = offset + 3 * width * height
        if self._map is None or len(self._map) < end:
            if offset < 0 or os.fstat(self.fd).st_size < max(end, 1):
                raise ValueError(f"a picture of {width}x{height} at {offset} is outside the shared memory")
            self._map = mmap.mmap(self.fd, 0)
        image = np.ndarray((height, width, 3), np.uint8, self._map, offset)
        if not self._free and not more:  # the next picture needs a slot
            self.give_back(slot)
            return image.copy()
        # This slot is used again before other slots, because memory that was never touched costs nothing.
        weakref.finalize(image, self._free.appendleft, slot).atexit = False
        return image

    def close(self) -> None:
        """Release the memory; pictures that were returned stay valid. Safe to call twice."""
        self._map = None
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
