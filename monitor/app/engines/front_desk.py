"""Clients' requests in a run with engines: they are brought to the engine that watches the camera, and answered."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitor.alerts.control import (
    Arm,
    Budget,
    ControlRequest,
    Feedback,
    Name,
    Preview,
    RollBack,
    Undo,
    decode_reply,
)
from monitor.alerts.control_desk import WAITING, Asker, Desk, Done, Server, Steps
from monitor.alerts.messages import encode
from monitor.app.engines.engine_messages import Ask, Forgotten, ForgottenPictures, Taught
from monitor.app.engines.front import Front
from monitor.errors import MonitorError, RunError, UsageError
from monitor.teaching.teacher import NAMED, NORMAL, REAL, Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.text.commands import training_command
from monitor.text.wording import listed

ANSWERED_S = 10.0
"""A request that an engine does not answer within this time has failed, seconds."""


class FrontDesk:
    """Main thread only.

    teacher  serves what needs no camera, and cameras that no engine watches; None without verdicts
    """

    def __init__(
        self,
        front: Front,
        send: Callable[[int, object], None],
        teacher: Teacher | None = None,
        verdicts: VerdictStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._front, self._send, self._teacher, self._verdicts = front, send, teacher, verdicts
        self._clock = clock
        self._numbers = 0
        self._waiting: dict[int, int] = {}  # number of a request -> engine
        self._replies: dict[int, bytes | None] = {}
        front.replied = self._replied

    def serve_at(self, desk: Desk, *, choices: bool) -> None:
        """Answer requests at the run's desk from now on. choices: whether budgets and arming can be chosen."""
        if self._teacher is not None:
            self._teacher.serve_at(desk)
            for kind in (Feedback, Preview, Undo):
                desk.serve(kind, self._about_event(desk.server_of(kind)))
            if (name := desk.server_of(Name)) is not None:
                desk.serve(Name, self._for_all(name))
        if choices:
            desk.serve(Budget, lambda request, asker: self._of_camera(request, asker))
            desk.serve(Arm, lambda request, asker: self._of_camera(request, asker))
        desk.serve(RollBack, _no_roll_back)
        if self._verdicts is not None:
            desk.why_not = "a run with several engines cannot do that yet: run it with engines = 1"

    def forgotten(self, camera: str, thresholds: bool) -> None:
        """What was known of a camera is deleted: its engine must know."""
        seat = self._front.seats.get(camera)
        if seat is not None and seat.engine is not None:
            self._send(seat.engine, Forgotten(camera, thresholds))

    def forgotten_pictures(self, camera: str, from_at: float, to_at: float) -> None:
        """Normal pictures of this time are deleted: the camera's engine must not show them any more."""
        seat = self._front.seats.get(camera)
        if seat is not None and seat.engine is not None:
            self._send(seat.engine, ForgottenPictures(camera, from_at, to_at))

    def _of_camera(self, request: Budget | Arm, asker: Asker) -> Steps:
        seat = self._front.seats.get(request.camera)
        if seat is None:
            known = sorted(each.name for each in self._front.seats)
            there = f"cameras: {listed(known, 10)}" if known else "none is watched"
            raise UsageError(f"no camera {request.camera} is watched ({there}): give the name of one that is")
        if seat.engine is None:
            raise RunError(f"{request.camera} is not watched at the moment: try again soon")
        return self._ask(seat.engine, request, asker)

    def _about_event(self, own: Server | None) -> Server:
        """Serves requests about events: by the engine of the camera, or here if no engine watches it."""

        def serve(request: Feedback | Undo, asker: Asker) -> Done | Steps:
            engine = self._engine_of(request)
            if engine is None:
                assert own is not None
                return own(request, asker)
            return self._counted(request, self._ask(engine, request, asker))

        return serve

    def _engine_of(self, request: Feedback | Undo) -> int | None:
        camera = request.camera
        if self._verdicts is not None and camera is None:
            event = self._verdicts.event(request.event)
            camera = None if event is None else event.camera
        seat = None if camera is None else self._front.seats.get(camera)
        return seat.engine if seat is not None and seat.engine in self._front.running else None

    def _counted(self, request: Feedback | Undo, steps: Steps) -> Steps:
        """Count a verdict that an engine has taken: the figures of the run show it."""
        done = yield from steps
        if type(request) is Feedback and self._teacher is not None:
            said = request.verdict.casefold()
            self._teacher.given[said if said in (NORMAL, REAL) else NAMED] += 1
        return done

    def _for_all(self, own: Server) -> Server:
        """Serves a request here, and lets all engines apply what has changed."""

        def serve(request: Name, asker: Asker) -> Done | Steps:
            done = own(request, asker)
            for engine in self._front.running:
                self._send(engine, Taught())
            return done

        return serve

    def _ask(self, engine: int, request: ControlRequest, asker: Asker) -> Steps:
        """Let an engine answer. Raises MonitorError with what it says if it refuses."""
        self._numbers += 1
        number = self._numbers
        self._waiting[number] = engine
        self._send(engine, Ask(number, encode(request), asker))
        deadline = self._clock() + ANSWERED_S
        while number not in self._replies:
            if self._clock() > deadline:
                del self._waiting[number]
                raise RunError("the engine of this camera does not answer: try again")
            yield WAITING
        payload = self._replies.pop(number)
        if payload is None:
            raise RunError("the engine of this camera has ended: ask again soon, it may have done it")
        reply = decode_reply(payload)
        if reply.reply != "ok":
            raise MonitorError(reply.said)
        return Done(reply.said, reply.data)

    def _replied(self, engine: int, number: int, payload: bytes | None) -> None:
        if payload is not None and self._waiting.pop(number, None) is not None:
            self._replies[number] = payload
        elif payload is None:
            for lost in [each for each, asked in self._waiting.items() if asked == engine]:
                del self._waiting[lost]
                self._replies[lost] = None


def _no_roll_back(request: RollBack, _: Asker) -> Done:
    raise UsageError(
        "a run with several engines cannot go back by itself: use "
        f"`{training_command(f'rollback {request.camera}')}`, then send SIGHUP"
    )
