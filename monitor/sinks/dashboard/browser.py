"""What the user looks at: which list, which row of it, and whether its details are shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

AlertKey = tuple[str, int | str]
"""Camera and number of an event in this run, or camera and id of an event of an earlier run."""

_PAGE = 5
_MOVES = {"up": -1, "down": 1, "page up": -_PAGE, "page down": _PAGE}
_Row = TypeVar("_Row")


@dataclass(slots=True)
class Browser:
    """Follows the keys.

    alerts   True: keys move in the list of alerts; False: in the list of cameras
    camera   the selected camera; None if none is selected
    alert    the selected alert; None if none is selected
    details  True: the details of the selected row are shown
    """

    alerts: bool = False
    camera: str | None = None
    alert: AlertKey | None = None
    details: bool = False

    def press(self, key: str, cameras: Sequence[str], alerts: Sequence[AlertKey]) -> Literal["seen"] | None:
        """Follow one key. Returns ``seen`` if the user acknowledges the alerts.

        cameras, alerts  all rows of the two lists, in the order of the screen
        """
        if key == "a":
            return "seen"
        if key == "tab":
            self.alerts, self.details = not self.alerts, False
        elif key == "escape":
            if not self.details:
                self.camera = self.alert = None
            self.details = False
        elif key == "enter":
            if (self.alert if self.alerts else self.camera) is None:
                self._move("home", cameras, alerts)
            self.details = not self.details and (self.alert if self.alerts else self.camera) is not None
        else:
            self._move(key, cameras, alerts)
        return None

    def forget(self, cameras: Sequence[str], alerts: Sequence[AlertKey]) -> None:
        """Select nothing that is not there any more."""
        if self.camera not in cameras:
            self.camera = None
        if self.alert not in alerts:
            self.alert = None
        if (self.alert if self.alerts else self.camera) is None:
            self.details = False

    def _move(self, key: str, cameras: Sequence[str], alerts: Sequence[AlertKey]) -> None:
        if self.alerts:
            self.alert = _next(key, self.alert, alerts)
        else:
            self.camera = _next(key, self.camera, cameras)


def _next(key: str, now: _Row | None, rows: Sequence[_Row]) -> _Row | None:
    """The row that is selected after a key."""
    if not rows:
        return None
    last = len(rows) - 1
    if key == "end":
        return rows[last]
    if key == "home" or now is None or now not in rows:
        return rows[0]
    return rows[min(max(rows.index(now) + _MOVES.get(key, 0), 0), last)]
