"""Bounded queues from one thread to another: ``Channel`` makes the sender wait, ``HandOver`` refuses the item."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Channel(Generic[Item]):
    """Holds at most ``capacity`` items. A full channel makes the sender wait. Closing it wakes both sides."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: deque[Item] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Add an item; wait for room if the channel is full. Returns False if the channel is closed."""
        return self.put_all((item,))

    def put_all(self, items: Sequence[Item]) -> bool:
        """Add items in order; wait for room for each. Returns False if the channel is closed."""
        with self._changed:
            for item in items:
                if len(self._items) >= self.capacity:
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._closed or len(self._items) < self.capacity)
                if self._closed:
                    return False
                self._items.append(item)
            self._changed.notify_all()
            return True

    def get_all(self, timeout_s: float) -> list[Item] | None:
        """All waiting items; [] if none arrived within ``timeout_s`` seconds, None once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout_s)
            if self._items:
                items = list(self._items)
                self._items.clear()
                self._changed.notify_all()
                return items
            return None if self._closed else []

    def close(self) -> None:
        """Close the channel. Waiting items can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class HandOver(Generic[Item]):
    """A queue of items that each have a size. An item that does not fit is refused."""

    def __init__(self) -> None:
        self.bytes = 0
        """Total size of the waiting items."""
        self._items: deque[tuple[Item, int]] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def offer(self, item: Item, size: int, limit: int) -> bool:
        """Add an item of ``size`` bytes if at most ``limit`` bytes then wait. Returns False if not, or once closed."""
        with self._changed:
            if self._closed or self.bytes + size > limit:
                return False
            self._items.append((item, size))
            self.bytes += size
            self._changed.notify()
            return True

    def take(self, timeout_s: float) -> Item | None:
        """The oldest item; None if none arrived within ``timeout_s`` seconds, or once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout_s)
            if not self._items:
                return None
            item, size = self._items.popleft()
            self.bytes -= size
            return item

    def close(self) -> None:
        """Close the queue. Waiting items can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """True once closed and empty."""
        with self._changed:
            return self._closed and not self._items
