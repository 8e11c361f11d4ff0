"""The main loop of what a test runs: it ticks until something has happened."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack

DEADLINE_S = 60.0


class Ticking(ABC):
    """What is opened in ``stack`` and closed at the end; ``tick`` is its main loop."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.stack = ExitStack()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.stack.close()

    @abstractmethod
    def tick(self) -> None:
        """Run the main loop once."""

    def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Tick until this is so. Raises AssertionError with ``what`` if it never is."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            self.tick()
            time.sleep(0.02)  # the main loop's pace
