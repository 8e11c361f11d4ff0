"""A thread that keeps its error, so that the main thread can raise it again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Stage:
    """Runs ``work`` in a daemon thread; ``error`` holds what it raised, ``on_error`` is told at once.

    A daemon thread: a decoder that never returns must not keep the process from ending.
    """

    def __init__(self, name: str, work: Callable[[], None], on_error: Callable[[Stage], None]) -> None:
        self.name = name
        self.error: Exception | None = None
        self._work = work
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a thread's edge: kept here, raised again by the main thread
            self.error = error
            self._on_error(self)

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()


def join_all(stages: list[Stage], timeout_s: float) -> list[str]:
    """Wait for all threads together, at most ``timeout_s`` seconds. Returns the names of those still running."""
    deadline = time.monotonic() + timeout_s
    for stage in stages:
        stage._thread.join(max(0.0, deadline - time.monotonic()))
    return [stage.name for stage in stages if stage.alive]
