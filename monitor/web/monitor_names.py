"""Names of cameras on a page that shows several monitors: ``node: camera``. With one, names stay as they are."""

from __future__ import annotations

import threading

from monitor.alerts.messages import AlertMessage, BudgetMessage, HealthMessage, MomentMessage, ScoreMessage

Told = AlertMessage | BudgetMessage | HealthMessage | MomentMessage | ScoreMessage
MOST_NAMES = 10_000


class MonitorNames:
    """Any thread may use it. count: number of monitors."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._labels: dict[int, str] = {}
        self._origins: dict[str, tuple[int, str]] = {}

    def renamed(self, monitor: int, message: Told) -> Told:
        """The message with the camera's name on this page. monitor: its number, from 0.

        Names of files are left out, except for the first monitor: the folders of evidence and moments are its own.
        """
        if self.count == 1:
            return message
        changes: dict[str, object] = {"camera": self.shown(monitor, message.node, message.camera)}
        if monitor > 0 and isinstance(message, AlertMessage):
            changes["evidence"] = ()
        if monitor > 0 and isinstance(message, MomentMessage):
            changes["files"] = ()
        return message.model_copy(update=changes)

    def origin(self, shown: str) -> tuple[int, str]:
        """The number of the monitor that has this camera, and the camera's name there."""
        with self._lock:
            return self._origins.get(shown, (0, shown))

    def owner(self, shown: str) -> tuple[int, str] | None:
        """As ``origin``; None if several monitors are shown, and none of them has told of this camera."""
        with self._lock:
            return self._origins.get(shown) or (None if self.count > 1 else (0, shown))

    def shown(self, monitor: int, node: str, camera: str) -> str:
        """The name on this page of a camera of this monitor, which calls itself ``node``."""
        if self.count == 1:
            return camera
        with self._lock:
            label = self._labels.get(monitor)
            if label is None:
                taken = node in self._labels.values()  # two monitors of one machine
                label = self._labels[monitor] = f"{node} {monitor + 1}" if taken else node
            shown = f"{label}: {camera}".replace("/", "_")
            if len(self._origins) < MOST_NAMES:
                self._origins.setdefault(shown, (monitor, camera))
            return shown
