"""Clients' requests at the head of a fleet: verdicts, and what else people ask of cameras.

What people say about events is kept here, on the disk, and brought to the node that watches the camera: at once, or as
soon as there is one that answers. What else is asked about a camera is answered by the node that watches it. No node is
ever waited for but by who has asked: alerts, leases and other requests go on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from monitor.alerts.control import (
    LAST,
    Arm,
    Budget,
    Cameras,
    Changes,
    ControlReply,
    ControlRequest,
    Feedback,
    Kept,
    Mask,
    Name,
    Pause,
    Preview,
    Relearn,
    RollBack,
    Undo,
    Verdicts,
    Versions,
    Zone,
)
from monitor.alerts.control import MOST_NAME as MOST_ASKER
from monitor.alerts.control_desk import WAITING, Asker, Desk, Done, Steps
from monitor.errors import MonitorError, RunError, UsageError
from monitor.machines.chosen_cameras import ChosenCameras
from monitor.machines.node_calls import LONG_S, NodeAwayError, NodeCalls, NodeRefusedError
from monitor.machines.said_verdicts import Said, SaidVerdicts
from monitor.machines.told_events import ToldEvent, ToldEvents
from monitor.text.commands import client_command
from monitor.text.wording import counted, listed

log = logging.getLogger("monitor")

MOST_VERDICTS = 500
"""Verdicts per camera, as on a monitor."""
AGAIN_S = 5.0
"""What could not be brought to a node is tried again after this time."""
LOOK_EVERY_S = 0.5
NORMAL, REAL = "normal", "real"
CameraRequest = Budget | Arm | Pause | Relearn | RollBack | Mask | Zone
CHANGES: tuple[type[CameraRequest], ...] = (Budget, Arm, Pause, Relearn, RollBack, Mask, Zone)
"""What the node that watches a camera does for people."""
LISTS: tuple[type[Cameras | Versions], ...] = (Cameras, Versions)
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Watcher:
    """The node that has a camera. watching: whether it watches it, and does not open it still."""

    node: str
    epoch: int
    watching: bool


class Fleet(Protocol):
    """What the gateway knows of cameras and nodes."""

    def watcher(self, camera: str) -> Watcher | None:
        """The node that has a camera, whether that is away or not; None if there is none."""

    def nodes(self) -> Sequence[str]:
        """The nodes that answer and have cameras."""

    def is_here(self, node: str) -> bool:
        """Whether a node answers."""


class FleetDesk:
    """Only the thread of the gateway may use it. Call ``tick`` often.

    fleet   who watches what
    calls   questions to nodes
    events  what was told
    said    entered
    chosen  what people choose for cameras, for the nodes that watch them next
    """

    def __init__(
        self,
        fleet: Fleet,
        calls: NodeCalls,
        events: ToldEvents,
        said: SaidVerdicts,
        chosen: ChosenCameras,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._calls, self._events, self._said, self._clock = fleet, calls, events, said, clock
        self._chosen = chosen
        self._busy: set[str] = set()  # events about which a node is being told
        self._bringing: dict[str, Generator[bool | None, None, None]] = {}  # node -> what it is being told
        self._again: dict[str, float] = {}  # event or camera -> when it is tried again
        self._compared: dict[str, int] = {}  # camera -> the epoch in which its node was asked what it knows
        self._look_at = 0.0

    def serve_at(self, desk: Desk) -> None:
        """Answer requests from now on, and record every change."""
        desk.recorded_by(self._note)
        desk.serve(Feedback, self._feedback)
        desk.serve(Preview, self._preview)
        desk.serve(Undo, self._undo)
        desk.serve(Verdicts, self._list)
        desk.serve(Name, self._name)
        desk.serve(Changes, self._changes)
        for kind in CHANGES:
            desk.serve(kind, self._change)
        for listing in LISTS:
            desk.serve(listing, self._listed)
        desk.why_not = "the head of a fleet cannot do that: change its config file, or ask the monitor of a node"

    def chosen(self, camera: str, node: str, epoch: int, choice: str) -> None:
        """A node tells what is chosen for a camera that it watches: its answer was late, or has got lost."""
        watcher = self._fleet.watcher(camera)
        if watcher is None or (watcher.node, watcher.epoch) != (node, epoch):
            return
        try:
            self._chosen.put(camera, choice)
        except RunError as error:  # the node tells it again
            log.warning("%s", error)

    def tick(self) -> None:
        """Bring to nodes what they do not know yet, a little at a time."""
        for node, steps in list(self._bringing.items()):
            try:
                next(steps)
            except StopIteration:
                del self._bringing[node]
            except RunError as error:  # of the disk
                log.error("%s", error)  # noqa: TRY400 - the sentence says all
                del self._bringing[node]
        if (now := self._clock()) < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        with suppress(RunError):  # said to who asks
            self._look(now)

    def _look(self, now: float) -> None:
        """Begin what is due. Raises RunError."""
        self._again = {what: at for what, at in self._again.items() if at > now}
        for said in self._said.waiting():
            watcher = self._fleet.watcher(said.camera)
            if watcher is not None and said.event_id not in self._again and said.event_id not in self._busy:
                self._begin(watcher.node, self._bring(said))
        for camera in self._said.cameras():
            watcher = self._fleet.watcher(camera)
            if watcher is None or not watcher.watching or self._compared.get(camera) == watcher.epoch:
                continue
            if camera not in self._again:
                self._begin(watcher.node, self._compare(camera, watcher))

    def _begin(self, node: str, steps: Generator[bool | None, None, None]) -> None:
        if node not in self._bringing and self._fleet.is_here(node):
            self._bringing[node] = steps

    def _bring(self, said: Said) -> Generator[bool | None, None, None]:
        """Tell a node what was said while it was away."""
        with self._only_here(said.event_id):
            if (said_now := self._said.verdict(said.event_id)) is None or said_now.told:
                return
            try:
                yield from self._tell(said_now)
            except NodeAwayError as error:
                log.debug("%s: %s", said.camera, error)
                self._again[said.event_id] = self._clock() + AGAIN_S
            except NodeRefusedError as error:
                log.warning("%s: what was said about event %s does not hold: %s", said.camera, said.event_id, error)
                self._said.drop(said.event_id)
            else:
                log.info("%s: its node knows now what was said about event %s", said.camera, said.event_id)

    def _compare(self, camera: str, watcher: Watcher) -> Generator[bool | None, None, None]:
        """A node watches a camera that another one had: see that it knows all that was said."""
        try:
            reply = yield from self._calls.control(watcher.node, Verdicts(camera=camera))
        except MonitorError as error:
            log.debug("%s: %s", camera, error)
            self._again[camera] = self._clock() + AGAIN_S
            return
        rows = reply.data.get("verdicts")
        known = {
            str(row.get("event")): row.get("verdict")
            for row in (rows if isinstance(rows, list) else [])
            if isinstance(row, dict)
        }
        for said in self._said.verdicts(camera):
            if said.told and known.get(said.event_id) != said.verdict:
                self._said.tell(said.event_id, told=False)
        self._compared[camera] = watcher.epoch

    # Requests

    def _feedback(self, request: Feedback, asker: Asker) -> Steps:
        verdict = _checked_name(request.verdict)
        told = yield from self._event(request)
        with self._only_here(told.event_id):
            before = self._said.verdict(told.event_id)
            if before is None and len(self._said.verdicts(told.camera)) >= MOST_VERDICTS:
                raise UsageError(
                    f"{told.camera} has {MOST_VERDICTS} verdicts already: learn it again, or take some back with undo"
                )
            said = Said(
                told.event_id,
                told.camera,
                told.node,
                verdict.casefold() if verdict.casefold() in (NORMAL, REAL) else verdict,
                request.scope,
                request.all_hours,
                time.time(),
                str(asker),
            )
            # Before the node knows it, so that it is not lost if this process is killed meanwhile.
            self._said.give(said)
            try:
                reply = yield from self._tell(said)
            except NodeAwayError as error:
                kept = f"{said.camera}: event {said.event_id} is {_as_said(said.verdict)}; {_kept_here(error)}"
                return Done(kept, {"event": said.event_id, "camera": said.camera, "verdict": said.verdict})
            except NodeRefusedError:
                self._said.drop(said.event_id) if before is None else self._said.give(before)
                raise
        assert reply is not None
        return Done(reply.said, reply.data)

    def _preview(self, request: Preview, _: Asker) -> Steps:
        _checked_name(request.verdict)
        told = yield from self._event(request)
        node = self._node_of(told.camera)
        yield from self._have_event(node, told)
        asked = request.model_copy(update={"event": told.event_id})
        reply = yield from self._calls.control(node, asked, LONG_S)
        return Done(reply.said, reply.data)

    def _undo(self, request: Undo, asker: Asker) -> Steps:
        said = self._said_about(request)
        with self._only_here(said.event_id):
            said = replace(said, holds=False, told=False, given_by=str(asker))
            self._said.give(said)
            words = f"{said.camera}: event {said.event_id} is no longer {_as_said(said.verdict)}"
            data = {"event": said.event_id, "camera": said.camera}
            try:
                reply = yield from self._tell(said)
            except NodeAwayError as error:
                return Done(f"{words}; {_kept_here(error)}", data)
        return Done(words if reply is None else reply.said, data)

    def _list(self, request: Verdicts, _: Asker) -> Done:
        found = self._said.verdicts(request.camera)
        waiting = sum(not said.told for said in found)
        words = f", {waiting} waiting for a node" if waiting else ""
        return Done(
            f"{counted(len(found), 'verdict')}{words}",
            {"verdicts": [said.facts() for said in found[-500:]], "names": self._said.alerts()},
        )

    def _name(self, request: Name, asker: Asker) -> Steps:
        name = _checked_name(request.name)
        about = [said for said in self._said.verdicts() if said.verdict == name]
        if not about or name == NORMAL:
            known = sorted({said.verdict for said in self._said.verdicts()} - {NORMAL})
            there = f"known: {listed(known, _SHOWN)}" if known else "no event has a name yet"
            raise UsageError(f"no event is named '{name}' ({there}): give the name to an event first")
        self._said.set_alert(name, request.alert)
        # Who is told later is told with the verdict.
        one_per_camera = {said.camera: said for said in about}
        watchers = {camera: self._fleet.watcher(camera) for camera in one_per_camera}
        nodes = {camera: watcher.node for camera, watcher in watchers.items() if watcher is not None}
        asked = request.model_copy(update={"asked_by": str(asker)[:MOST_ASKER]})
        replies = yield from self._all(sorted(set(nodes.values())), asked)
        late = {node for node, reply in replies.items() if reply is None}
        for camera, said in one_per_camera.items():
            if nodes.get(camera) is None or nodes[camera] in late:
                self._said.tell(said.event_id, told=False)
        how = {"as-scored": "notify as their score says", "always": "always notify", "never": "never notify"}
        rest = "; nodes that do not answer are told later" if late else ""
        return Done(f"events named '{name}' {how[request.alert]} from now on{rest}")

    def _changes(self, request: Changes, _: Asker) -> Done:
        found = self._said.changes(request.limit)
        return Done(counted(len(found), "change"), {"changes": found})

    def _note(self, asker: Asker, request: ControlRequest, said: str) -> None:
        with suppress(RunError):  # the change itself is made, and in the log
            self._said.note(str(asker), str(getattr(request, "request", "")), said)

    def _change(self, request: CameraRequest, asker: Asker) -> Steps:
        """The node that watches the camera does it, and the head keeps what is chosen then."""
        camera, node = request.camera, self._node_of(request.camera)
        asked = request.model_copy(update={"asked_by": str(asker)[:MOST_ASKER]})
        reply, choice = yield from self._calls.change(node, asked, camera)
        if choice and not getattr(request, "preview", False):
            self._chosen.put(camera, choice)
        return Done(reply.said, reply.data)

    def _listed(self, request: Cameras | Versions, _: Asker) -> Steps:
        """Each node lists what it watches."""
        if request.camera is not None:
            reply = yield from self._calls.control(self._node_of(request.camera), request)
            return Done(reply.said, reply.data)
        found: list[object] = []
        silent = list[str]()
        for node, answer in (yield from self._all(self._fleet.nodes(), request)).items():
            if answer is None:
                silent.append(node)
                continue
            rows = answer.data.get("cameras")
            for row in rows if isinstance(rows, list) else []:
                watcher = self._fleet.watcher(str(row.get("name"))) if isinstance(row, dict) else None
                if watcher is not None and watcher.node == node:
                    found.append(row)
        words = f"; not those of {listed(silent, _SHOWN)}, which do not answer" if silent else ""
        found.sort(key=lambda row: str(row.get("name")) if isinstance(row, dict) else "")
        data: dict[str, object] = {"cameras": found}
        if type(request) is Cameras:
            data["why_not_opened"] = ""
        return Done(f"{counted(len(found), 'camera')}{words}", data)

    # Parts of requests

    def _event(self, request: Feedback) -> Generator[None, None, ToldEvent]:
        """The event that a request names. Raises UsageError."""
        if request.event == LAST and request.camera is None:
            raise UsageError("the last event of which camera? name it with --camera")
        if request.event == LAST and request.camera is not None:
            told = yield from self._events.last(request.camera)
            if told is None:
                raise UsageError(f"{request.camera} has no event that notified: give the id of an event")
            return told
        told = yield from self._events.find(request.event)
        if told is None:
            raise UsageError(
                f"the journal of the fleet has no event {request.event}: it never existed, or it is gone; list events "
                f"with `{client_command('--since 30d --no-follow --json')}`"
            )
        if request.camera is not None and request.camera != told.camera:
            raise UsageError(f"event {request.event} is of camera {told.camera}, not of {request.camera}")
        return told

    def _said_about(self, request: Undo) -> Said:
        """What a request takes back. Raises UsageError."""
        if request.event != LAST:
            said = self._said.verdict(request.event)
            if said is None or not said.holds:
                raise UsageError(f"nobody has said anything about event {request.event}: there is nothing to undo")
            if request.camera not in (None, said.camera):
                raise UsageError(f"event {request.event} is of camera {said.camera}, not of {request.camera}")
            return said
        if request.camera is None:
            raise UsageError("the last verdict about which camera? name it with --camera")
        found = self._said.verdicts(request.camera)
        if not found:
            raise UsageError(f"nobody has said anything about events of {request.camera}: there is nothing to undo")
        return found[-1]

    def _tell(self, said: Said) -> Generator[bool | None, None, ControlReply | None]:
        """Tell the node that watches the camera what was said, and note that it knows.

        Returns what it has answered; None if there was nothing to take back. Raises NodeAwayError and
        NodeRefusedError.
        """
        node, asker = self._node_of(said.camera), said.given_by[:MOST_ASKER]
        if not said.holds:
            reply = None
            try:
                reply = yield from self._calls.control(node, Undo(event=said.event_id, asked_by=asker))
            except NodeRefusedError as error:  # it does not know the verdict
                log.debug("%s: %s", said.camera, error)
            self._said.drop(said.event_id)
            return reply
        yield from self._have_event(node, ToldEvent(said.event_id, said.camera, said.node))
        reply = yield from self._calls.control(
            node,
            Feedback(
                event=said.event_id,
                verdict=said.verdict,
                scope=said.scope,
                all_hours=said.all_hours,
                camera=said.camera,
                asked_by=asker,
            ),
        )
        if (alert := self._said.alerts().get(said.verdict)) is not None:
            yield from self._calls.control(node, Name(name=said.verdict, alert=alert, asked_by=asker))
        self._said.tell(said.event_id, told=True)
        return reply

    def _have_event(self, node: str, told: ToldEvent) -> Generator[bool | None, None, None]:
        """Bring an event to the node that watches its camera, if another one has told it."""
        if told.node == node:
            return
        asked = Kept(event=told.event_id)
        try:
            yield from self._calls.control(node, asked)
        except NodeRefusedError:  # it does not have it
            if not self._fleet.is_here(told.node):
                raise NodeAwayError(f"{told.node}, which has told the event, is away") from None
            reply = yield from self._calls.control(told.node, asked)
            yield from self._calls.keep(node, told.event_id, json.dumps(reply.data).encode())

    def _all(
        self, nodes: Sequence[str], request: ControlRequest
    ) -> Generator[bool | None, None, dict[str, ControlReply | None]]:
        """Ask several nodes at once. Returns what each has answered; None: nothing, or it has refused."""
        asking = {node: self._calls.control(node, request) for node in nodes}
        replies: dict[str, ControlReply | None] = {}
        while asking:
            for node, steps in list(asking.items()):
                try:
                    next(steps)
                except StopIteration as ended:
                    replies[node] = ended.value
                except MonitorError as error:
                    log.debug("%s", error)
                    replies[node] = None
                else:
                    continue
                del asking[node]
            if asking:
                yield WAITING
        return {node: replies[node] for node in nodes}

    def _node_of(self, camera: str) -> str:
        """The node that watches a camera. Raises NodeAwayError."""
        watcher = self._fleet.watcher(camera)
        if watcher is None:
            raise NodeAwayError(f"no node watches {camera}")
        if not self._fleet.is_here(watcher.node):
            raise NodeAwayError(f"{watcher.node}, which watches {camera}, is away")
        return watcher.node

    @contextmanager
    def _only_here(self, event_id: str) -> Iterator[None]:
        """Nobody else tells a node about this event in here. Raises RunError."""
        if event_id in self._busy:
            raise RunError(f"a node is being told about event {event_id} at this moment: try again")
        self._busy.add(event_id)
        try:
            yield
        finally:
            self._busy.discard(event_id)


def _checked_name(name: str) -> str:
    if not name.isprintable():
        raise UsageError("a name must be printable text on one line")
    return name


def _as_said(verdict: str) -> str:
    return verdict if verdict in (NORMAL, REAL) else f"named '{verdict}'"


def _kept_here(why: NodeAwayError) -> str:
    """For a person: what becomes of what was said."""
    reason = str(why).partition(":")[0]
    return f"it is kept at the head, and holds as soon as a node that watches the camera answers ({reason})"
