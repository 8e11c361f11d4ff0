"""A bounded, closable channel from one thread to another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Channel(Generic[Item]):
    """At most ``capacity`` items wait; a full channel makes the sender wait, closing wakes both sides."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: deque[Item] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Add an item, waiting for room; returns False when the channel is closed."""
        return self.put_all((item,))

    def put_all(self, items: Sequence[Item]) -> bool:
        """Add items in order, waiting for room for each; returns False when the channel is closed."""
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
        """Everything that waits; [] when nothing came within ``timeout_s`` seconds, None once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout_s)
            if self._items:
                items = list(self._items)
                self._items.clear()
                self._changed.notify_all()
                return items
            return None if self._closed else []

    def close(self) -> None:
        """End the channel: what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
