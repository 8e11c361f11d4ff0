"""Clients' requests in a run with engines: they are brought to the engine that watches the camera, and answered."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitor.alerts.control import Budget, ControlRequest, Feedback, Name, Preview, Undo, decode_reply
from monitor.alerts.control_desk import Asker, Desk, Done, Server, Steps
from monitor.alerts.messages import encode
from monitor.app.engines.engine_messages import Ask, ForgetParts, Forgotten, Taught
from monitor.app.engines.front import Front
from monitor.app.engines.front_calls import FrontCalls
from monitor.errors import MonitorError, RunError
from monitor.teaching.teacher import NAMED, NORMAL, REAL, Teacher
from monitor.teaching.verdict_store import VerdictStore


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
        self.calls = FrontCalls(front, send, clock)
        """The questions to engines."""

    def serve_at(self, desk: Desk) -> None:
        """Answer requests about events at the run's desk from now on."""
        if self._teacher is not None:
            self._teacher.serve_at(desk)
            for kind in (Feedback, Preview, Undo):
                desk.serve(kind, self._about_event(desk.server_of(kind)))
            if (name := desk.server_of(Name)) is not None:
                desk.serve(Name, self._for_all(name))

    def forgotten(self, camera: str, thresholds: bool) -> None:
        """What was known of a camera is deleted: its engine must know."""
        seat = self._front.seats.get(camera)
        if seat is not None and seat.engine is not None:
            self._send(seat.engine, Forgotten(camera, thresholds))

    def forget_moments(self, camera: str, from_at: float, to_at: float) -> Callable[[], bool]:
        """Let all engines forget moments of this time, unix seconds. Returns a function that says whether they have."""
        return self._forget(lambda number: ForgetParts(number, camera, moments=(from_at, to_at)))

    def forget_normal(self, camera: str, from_at: float, to_at: float) -> Callable[[], bool]:
        """Like ``forget_moments``, of normal pictures."""
        return self._forget(lambda number: ForgetParts(number, camera, normal=(from_at, to_at)))

    def forget_memory(self, camera: str) -> None:
        """Let all engines forget the growing memory of a camera, soon."""
        self._forget(lambda number: ForgetParts(number, camera, memory=True))

    def _forget(self, message_of: Callable[[int], ForgetParts]) -> Callable[[], bool]:
        questions = [self.calls.ask(engine, message_of) for engine in self._front.running]
        return lambda: all(question.answered for question in questions)

    def what_if(self, camera: str, per_day: float) -> Done | Steps:
        """Which alarms another budget of a camera would have left out, see Teacher.what_if. Not without verdicts."""
        seat = self._front.seats.get(camera)
        if seat is None or seat.engine not in self._front.running:
            assert self._teacher is not None
            return self._teacher.what_if(camera, per_day)  # which says why it cannot
        return self._ask(seat.engine, Budget(camera=camera, per_day=per_day, preview=True), Asker("run"))

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
        payload = yield from self.calls.wait(self.calls.ask(engine, lambda n: Ask(n, encode(request), asker)))
        if payload is None:
            raise RunError("the engine of this camera has ended: ask again soon, it may have done it")
        reply = decode_reply(payload)
        if reply.reply != "ok":
            raise (RunError if "temporary" in reply.data else MonitorError)(reply.said)
        return Done(reply.said, reply.data)
