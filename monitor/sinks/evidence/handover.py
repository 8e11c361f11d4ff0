"""From the main loop to the evidence thread, without ever making the main loop wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class HandOver(Generic[Item]):
    """Items with a size wait in order until they are taken; one that does not fit is refused."""

    def __init__(self) -> None:
        self.bytes = 0
        """Size of what waits."""
        self._items: deque[tuple[Item, int]] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def offer(self, item: Item, size: int, limit: int) -> bool:
        """Add an item of ``size`` bytes if no more than ``limit`` then wait; False if not, or once closed."""
        with self._changed:
            if self._closed or self.bytes + size > limit:
                return False
            self._items.append((item, size))
            self.bytes += size
            self._changed.notify()
            return True

    def take(self, timeout_s: float) -> Item | None:
        """The oldest item; None when none came within ``timeout_s`` seconds, or once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout_s)
            if not self._items:
                return None
            item, size = self._items.popleft()
            self.bytes -= size
            return item

    def close(self) -> None:
        """End it: what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """True once closed and empty."""
        with self._changed:
            return self._closed and not self._items
