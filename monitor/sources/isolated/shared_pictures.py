"""Pictures in memory that two processes see: one writes them, the other looks at them where they lie."""

from __future__ import annotations

import mmap
import os
import weakref
from collections import deque

import numpy as np

from monitor.types import Image

SLOTS = 12
"""Pictures that have room: some that are written while others wait to be analysed."""


class PictureWriter:
    """Writes pictures into slots of the memory behind a file descriptor, which grows where it has to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map: mmap.mmap | None = None
        self._start = self._room = 0  # offset of the first slot and bytes a slot
        self._shape: tuple[int, ...] = (0, 0, 3)

    def likely(self, slot: int) -> Image | None:
        """The memory of a slot as a picture of the size last written; None before the first."""
        return None if self._map is None else self._at(self._map, slot)

    def write(self, slot: int, image: Image) -> int:
        """Put a picture there, (H, W, 3) uint8, unless it is there already; returns its offset in the memory, bytes."""
        if image.nbytes > self._room or self._map is None:
            # New slots behind the old ones: what lies in these may still be looked at.
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
    """The other end: gives out pictures where they lie and knows which slots are free. Has no name, leaves no trace.

    A slot is free again once nobody holds its picture any more; pictures that are held for long are copied.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("pictures", os.MFD_CLOEXEC)
        self._map: mmap.mmap | None = None
        self._free = deque(range(SLOTS))  # its methods are atomic: pictures may be let go of in any thread

    def take_slot(self) -> int:
        """A slot to write the next picture to."""
        return self._free.popleft()

    @property
    def free(self) -> int:
        """Slots that can be taken."""
        return len(self._free)

    def give_back(self, slot: int) -> None:
        """There is no picture in it."""
        self._free.appendleft(slot)

    def picture(self, slot: int, offset: int, width: int, height: int, *, more: bool = False) -> Image:
        """The picture in a slot, (height, width, 3) uint8. Raises ValueError where the memory ends before it does.

        more: slots are taken for pictures that are still to come, so that none need be free after this one.
        """
        end = offset + 3 * width * height
        if self._map is None or len(self._map) < end:
            if offset < 0 or os.fstat(self.fd).st_size < max(end, 1):
                raise ValueError(f"a picture of {width}x{height} at {offset} in a smaller memory")
            self._map = mmap.mmap(self.fd, 0)
        image = np.ndarray((height, width, 3), np.uint8, self._map, offset)
        if not self._free and not more:  # the next picture needs a place
            self.give_back(slot)
            return image.copy()
        # Used again first: memory that was never touched costs nothing.
        weakref.finalize(image, self._free.appendleft, slot).atexit = False
        return image

    def close(self) -> None:
        """Let go of the memory; pictures given out stay. Safe to call twice."""
        self._map = None
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
