"""Names of cameras on a page that shows several monitors: ``node: camera``. With one, names stay as they are.

A name means the same camera whichever monitor is heard first: users may be limited to names. So the node alone stands
for a monitor only if all monitors before it are known to have other nodes.
"""

from __future__ import annotations

import threading

from monitor.alerts.messages import AlertMessage, BudgetMessage, HealthMessage, MomentMessage, ScoreMessage

Told = AlertMessage | BudgetMessage | HealthMessage | MomentMessage | ScoreMessage
MOST_NAMES = 10_000
WAIT_S = 2.0
"""A monitor waits so long, once, until those before it are known: else it is numbered."""


class MonitorNames:
    """Any thread may use it. count: number of monitors; wait_s: see WAIT_S."""

    def __init__(self, count: int = 1, wait_s: float = WAIT_S) -> None:
        self.count, self._wait_s = count, wait_s
        self._lock = threading.Condition()
        self._labels: dict[int, str] = {}
        self._nodes: dict[int, str] = {}
        self._origins: dict[str, tuple[int, str]] = {}

    def renamed(self, monitor: int, message: Told) -> Told:
        """The message with the camera's name on this page. monitor: its number, from 0."""
        if self.count == 1:
            return message
        return message.model_copy(update={"camera": self.shown(monitor, message.node, message.camera)})

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
            label = self._labels.get(monitor) or self._new_label(monitor, node)
            shown = f"{label}: {camera.replace('/', '_')}"
            if len(self._origins) < MOST_NAMES:
                self._origins.setdefault(shown, (monitor, camera))
            return shown

    def _new_label(self, monitor: int, node: str) -> str:
        """Decide it once. The lock is held, but not while it waits."""
        node = node.replace("/", "_")  # before it is compared: "a/b" and "a_b" must not get the same label
        before = range(monitor)
        known = self._lock.wait_for(lambda: all(each in self._nodes for each in before), self._wait_s)
        if monitor not in self._labels:  # another thread may have been here meanwhile
            taken = {name for each in before if each in self._nodes for name in (self._nodes[each], self._labels[each])}
            self._labels[monitor] = node if known and node not in taken else f"{node} {monitor + 1}"
            self._nodes[monitor] = node
            self._lock.notify_all()
        return self._labels[monitor]
