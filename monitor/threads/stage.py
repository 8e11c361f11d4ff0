"""A thread that keeps its error, so that the main thread can raise it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Stage:
    """Runs ``work`` in a daemon thread. If ``work`` raises, ``error`` holds the error, and ``on_error`` is called.

    The thread is a daemon, because a decoder that never returns must not keep the process alive.
    """

    def __init__(self, name: str, work: Callable[[], None], on_error: Callable[[Stage], None]) -> None:
        self.name = name
        self.error: Exception | None = None
        self._work = work
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. If the machine has no thread left, this is an error like one of ``work``."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self.error = RuntimeError(f"the machine has no room for another thread ({error}): end other programs")
            self._on_error(self)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - end of a thread: the main thread raises the error again
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
        if stage.alive:
            stage._thread.join(max(0.0, deadline - time.monotonic()))
    return [stage.name for stage in stages if stage.alive]
