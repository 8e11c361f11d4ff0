"""What people say about events on the page: told to the monitor, and kept up to date with what others have said.

The monitor keeps the verdicts. The page holds a copy, and reads it anew whenever the monitor's record of changes has
grown: other pages and programs give verdicts, too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

from pydantic import ValidationError

from monitor.alerts.control import Budget, Changes, ControlReply, ControlRequest, Feedback, Preview, Undo, Verdicts
from monitor.client.controller import ANSWER_S
from monitor.errors import MonitorError, first_problem
from monitor.text.outside import safe
from monitor.threads.stage import Stage, join_all
from monitor.web.board import Board
from monitor.web.bus_reader import News
from monitor.web.event_store import EventStore, StoredEvent, key_of
from monitor.web.monitor_names import MonitorNames
from monitor.web.user_file import Who

log = logging.getLogger(__name__)
R = TypeVar("R", bound=ControlRequest)

PREVIEW_S = 60.0
"""Time to wait for a preview, seconds: the monitor judges the alarms of a month again."""
LOOK_EVERY_S = 10.0
"""The monitor's record of changes is looked at this often."""
MOST_TOLD = 20
"""If more events have changed at once, viewers are told to load anew instead."""
_GOODBYE_S = 3.0


class Link(Protocol):
    """What can ask the monitor: see MonitorLink."""

    def ask(self, request: ControlRequest, who: Who | None = None, timeout_s: float = ANSWER_S) -> ControlReply:
        """The monitor's reply. Raises MonitorError."""
        ...


class RefusedByMonitorError(MonitorError):
    """The monitor has answered that it does not do this. The text is its sentence."""


class Teaching:
    """A context manager around the thread that keeps the copy of the verdicts up to date. Any thread may use it.

    links   to each monitor's control socket, and ``boards`` what each is doing
    tell    called with each change, for viewers
    names   how the page calls the cameras of several monitors
    """

    def __init__(
        self,
        links: Sequence[Link],
        store: EventStore,
        boards: Sequence[Board],
        tell: Callable[[News], None],
        names: MonitorNames | None = None,
    ) -> None:
        self._links, self._boards = tuple(links), tuple(boards)
        self._store, self._tell, self._names = store, tell, names or MonitorNames()
        self._stop, self._look = threading.Event(), threading.Event()
        self._stage = Stage("verdicts", self._follow, lambda _: None)
        self._seen: dict[int, object] = {}
        self._said: dict[int, str] = {}

    def __enter__(self) -> Self:
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._look.set()
        join_all([self._stage], _GOODBYE_S)

    def give(self, event: StoredEvent, verdict: str, scope: str, *, all_hours: bool, who: Who) -> str:
        """Tell the monitor what an event was. Returns its sentence. Raises MonitorError."""
        request = _request(Feedback, **_fields(event, verdict, scope, all_hours=all_hours))
        reply = self._ask(request, who)
        said = str(reply.data.get("verdict", verdict))
        facts = {"event": event.alert.event_id, "verdict": said, "scope": scope, "all_hours": all_hours}
        self._took(event, facts | {"given_by": who.name})
        self._look.set()
        return reply.said

    def undo(self, event: StoredEvent, who: Who) -> str:
        """Take a verdict back. Returns the monitor's sentence. Raises MonitorError."""
        reply = self._ask(_request(Undo, event=event.alert.event_id, camera=event.alert.camera), who)
        self._took(event, None)
        self._look.set()
        return reply.said

    def preview(self, event: StoredEvent, verdict: str, scope: str, *, all_hours: bool) -> tuple[str, list[str], int]:
        """What a verdict would have changed: a sentence, the keys of the events, their number. Raises MonitorError."""
        request = _request(Preview, **_fields(event, verdict, scope, all_hours=all_hours))
        reply = self._ask(request, None, PREVIEW_S)
        events = [key_of(str(each)) for each in reply.data.get("events", [])]
        return reply.said, events, int(reply.data.get("hits", len(events)))

    def try_budget(self, camera: str, per_day: float | None) -> ControlReply:
        """What another budget would have changed. Raises MonitorError."""
        return self._ask(_request(Budget, camera=camera, per_day=per_day, preview=True), None, PREVIEW_S)

    def read(self, monitor: int = 0) -> None:
        """Read all verdicts from a monitor, if anything has changed there. Raises MonitorError."""
        reply = _taken(self._links[monitor].ask(Changes(limit=1)))
        cameras = self._cameras(monitor)
        newest = reply.epoch, cameras, repr(reply.data.get("changes"))
        if newest == self._seen.get(monitor):
            return
        changed: list[StoredEvent] = []
        for camera in cameras:
            found = self._ask(_request(Verdicts, camera=camera)).data.get("verdicts", [])
            changed += self._store.take_verdicts(camera, [each for each in found if _is_verdict(each)])
        self._seen[monitor] = newest
        if len(changed) > MOST_TOLD:
            self._tell(News("refresh"))
            return
        for event in changed:
            self._tell(News("verdict", event=event))

    def _cameras(self, monitor: int) -> tuple[str, ...]:
        present = {str(camera["name"]) for camera in self._boards[monitor].cameras()}
        known = present | set(self._store.cameras())
        return tuple(sorted(name for name in known if self._names.origin(name)[0] == monitor))

    def _ask(
        self, request: Feedback | Undo | Verdicts | Budget, who: Who | None = None, timeout_s: float = ANSWER_S
    ) -> ControlReply:
        """Ask the monitor that has the camera of the request, by the camera's name there."""
        owner = self._names.owner(request.camera or "")
        if owner is None:
            raise RefusedByMonitorError(f"no monitor of this page has a camera {safe(request.camera)}")
        monitor, camera = owner
        return _taken(self._links[monitor].ask(request.model_copy(update={"camera": camera}), who, timeout_s))

    def _took(self, event: StoredEvent, facts: dict[str, Any] | None) -> None:
        changed = self._store.take_verdict(event.alert.camera, event.alert.event_id, facts)
        if changed is not None:
            self._tell(News("verdict", event=changed))

    def _follow(self) -> None:
        while not self._stop.is_set():
            for monitor, board in enumerate(self._boards):
                if board.link()["state"] == "connected" and not self._stop.is_set():
                    self._read_quietly(monitor)
            self._look.wait(LOOK_EVERY_S)
            self._look.clear()

    def _read_quietly(self, monitor: int) -> None:
        try:
            self.read(monitor)
            self._said.pop(monitor, None)
        except MonitorError as error:
            if self._said.get(monitor) != str(error):
                log.info("verdicts cannot be read: %s", safe(error))
            self._said[monitor] = str(error)


def _taken(reply: ControlReply) -> ControlReply:
    """The reply. Raises RefusedByMonitorError if it is an error."""
    if reply.reply != "ok":
        raise RefusedByMonitorError(safe(reply.said))
    return reply


def _request(kind: type[R], **fields: object) -> R:
    """The request. Raises RefusedByMonitorError if the monitor would not take it, for example if an id is too long."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        place, what = first_problem(error)
        raise RefusedByMonitorError(safe(f"the monitor would not take this: {place}: {what}")) from None


def _fields(event: StoredEvent, verdict: str, scope: str, *, all_hours: bool) -> dict[str, Any]:
    return {
        "event": event.alert.event_id,
        "verdict": verdict,
        "scope": scope,
        "all_hours": all_hours,
        "camera": event.alert.camera,
    }


def _is_verdict(each: object) -> bool:
    return isinstance(each, dict) and isinstance(each.get("event"), str) and isinstance(each.get("verdict"), str)
