"""Where the engines of a run are. A run knows engines only by this interface, so that they may be anywhere.

``LocalPlacement`` starts them as child processes. A placement on several machines would implement the same methods; the
epochs and numbers in the messages (``engine_messages``) tell what is late, and what comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from monitor.app.engines.engine_messages import Task


@dataclass(frozen=True)
class Ended:
    """An engine has ended: nothing more comes from it. how: in words, such as ``SIGKILL``."""

    how: str


class Placement(Protocol):
    """Starts engines and carries messages. Only the main thread calls it; nothing waits except ``receive``."""

    def start(self, task: Task) -> None:
        """Start an engine for a task. Raises RunError if it cannot be started."""

    def send(self, engine: int, message: object) -> None:
        """Send a message, in order. Nothing happens if the engine has ended."""

    def receive(self, timeout_s: float) -> list[tuple[int, object]]:
        """What engines have sent, with their numbers, in the order of each engine; ``Ended`` is the last of each.

        Waits for the first message at most ``timeout_s`` seconds.
        """

    def at_work(self, engine: int) -> bool:
        """Whether an engine has worked, or waited for a core, since this was last asked: then it may be silent."""

    def kill(self, engine: int) -> None:
        """End an engine that does not end by itself."""

    def close(self) -> None:
        """End all that still run."""
