"""A receiver of deliveries that fails on command."""

from __future__ import annotations

from monitor.alerts.messages import AlertMessage, Stored
from monitor.delivery.notice import BACKOFF_MAX_S, DeliveryError, EventSteps, Notice


class ScriptedReceiver:
    """Accepts every step of an event, unless the test says otherwise.

    failing       every attempt fails
    error, crash  what an attempt raises
    refuses       keys that it refuses for ever
    killed_after  the process "is killed" (KeyboardInterrupt) right after it has accepted this many notices
    """

    def __init__(self, name: str = "webhook.test") -> None:
        self.name = name
        self.topics: tuple[str, ...] = ("alert/",)
        self.keep_s = 1e9
        self.backoff_max_s = BACKOFF_MAX_S
        self.accepted: list[Notice] = []
        self.late: set[str] = set()
        self.failing = False
        self.error: DeliveryError | None = None
        self.crash: Exception | None = None
        self.refuses: set[str] = set()
        self.killed_after: int | None = None
        self._steps = EventSteps()

    @property
    def keys(self) -> list[str]:
        """Keys of all accepted notices, in order."""
        return [notice.key for notice in self.accepted]

    def load(self, state: str) -> None:
        """Nothing is kept."""

    def dump(self) -> str:
        """Nothing is kept."""
        return ""

    def take(self, message: Stored, jpeg: bytes | None, now: float) -> Notice | None:  # noqa: ARG002 - the interface
        """Deliver what ``EventSteps`` chooses."""
        key = self._steps.key(message) if isinstance(message, AlertMessage) else None
        return None if key is None else Notice(key, message, jpeg)

    def due(self, now: float) -> Notice | None:  # noqa: ARG002 - the interface
        """Nothing is due without a message."""
        return None

    def due_in(self, now: float) -> float:  # noqa: ARG002 - the interface
        """Never."""
        return float("inf")

    def deliver(self, notice: Notice, *, late: bool) -> None:
        """Accept the notice, or fail as the test says."""
        if self.crash is not None:
            raise self.crash
        if self.error is not None:
            raise self.error
        if self.failing:
            raise DeliveryError("nobody answers")
        if notice.key in self.refuses:
            raise DeliveryError("it is refused", final=True)
        self.accepted.append(notice)
        if late:
            self.late.add(notice.key)
        if self.killed_after is not None and len(self.accepted) == self.killed_after:
            self.killed_after = None
            raise KeyboardInterrupt

    def interrupt(self) -> None:
        """No attempt takes time."""

    def close(self) -> None:
        """Nothing is held."""
