"""Tells the sinks of a run what its engines say of their cameras, and what happens to cameras without an engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from monitor.app.engines.carried_alerts import alert_of, judgement_of
from monitor.app.engines.engine_messages import Ack, Joined, Scores, Step
from monitor.app.engines.seats import Seat, Seats
from monitor.judging.camera_monitor import CameraMonitor
from monitor.live.sink import Sink
from monitor.reports import CameraReport
from monitor.states import CameraState, Phase


class FrontTelling:
    """Main thread only. What an engine says of a camera that it has lost is not told.

    restarted  called when the counting of a camera's alarms begins anew
    """

    def __init__(
        self,
        seats: Seats,
        sinks: Sequence[Sink],
        send: Callable[[int, object], None],
        restarted: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._seats, self._sinks, self._send = seats, sinks, send
        self._restarted, self._clock = restarted, clock

    def scores(self, engine: int, message: Scores) -> None:
        """Tell the scores."""
        for carried, rest in message.judged:
            seat = self._seats.of_engine(engine, carried.camera)
            if seat is None or seat.scale is None or self._seats.is_told(seat, carried.time_s):
                continue
            judgement = judgement_of(carried, rest, seat.scale)
            for sink in self._sinks:
                sink.score(judgement)

    def step(self, engine: int, step: Step) -> None:
        """Tell a step of an event, unless it is known already, and acknowledge it."""
        seat = self._seats.accept(engine, step)
        if seat is not None and seat.scale is not None:
            alert = alert_of(step, seat.scale)
            seat.open = None if alert.event.phase is Phase.END else alert
            for sink in self._sinks:
                sink.alert(alert, step.report)
        self._send(engine, Ack(step.camera, step.epoch, step.seq))

    def health(self, engine: int, report: CameraReport) -> None:
        """Tell a new state, unless the camera moves."""
        seat = self._seats.of_engine(engine, report.name)
        if seat is not None and not seat.moving:
            self.report(engine, report)
            self.tell_health(seat, seat.report or report)

    def removed(self, engine: int, camera: str) -> None:
        """Tell that a camera is removed, unless it moves."""
        seat = self._seats.of_engine(engine, camera)
        if seat is not None and not seat.moving:
            for sink in self._sinks:
                sink.removed(camera)

    def joined(self, engine: int, joined: Joined) -> None:
        """Tell of a monitor."""
        seat = self._seats.of_engine(engine, joined.camera)
        if seat is None:
            return
        calibration = joined.calibration
        monitor = CameraMonitor(joined.camera, calibration.scale, joined.smoothing, joined.settings, None, calibration)
        monitor.count_from(joined.events)
        known = seat.again and seat.scale is not None and seat.scale.model == calibration.scale.model
        seat.scale = calibration.scale
        if known:
            return  # a file that begins anew, with the same model: nothing of it is new
        for sink in self._sinks:
            sink.added(monitor)

    def interrupted(self, seat: Seat, how: str, now: float) -> None:
        """Nobody watches a camera for now. Its open event ends, unless its file gives the end again."""
        seat.engine = seat.facts = None
        if seat.live:
            self.end_event(seat)
        if seat.report is not None:
            promise = seat.report.promise
            if promise is not None:
                seat.counted = [(promise.watched_s, promise.alarms, promise.blind_s)]
            detail = f"its engine ended ({how}), another one is started"
            self.tell_health(
                seat,
                replace(
                    seat.report,
                    state=CameraState.OFFLINE,
                    since=now,
                    detail=detail,
                    score=math.nan,
                    alarmed=seat.open is not None,
                    fps_in=0.0,
                    fps_analysed=0.0,
                ),
            )
        if seat.live:
            self.counted_anew(seat)

    def counted_anew(self, seat: Seat) -> None:
        """The next engine of a live camera counts its alarms from 0 on: publish what was counted until now."""
        self._restarted(seat.name)
        if seat.report is not None and seat.report.promise is not None:
            promise = replace(seat.report.promise, counted_alarms=0, counted_s=0.0, counted_blind_s=0.0)
            seat.report = replace(seat.report, promise=promise)

    def report(self, engine: int, report: CameraReport) -> None:
        """Take the present report of a camera. A file that begins anew counts on when all that was counted came."""
        seat = self._seats.of_engine(engine, report.name)
        if seat is None or seat.moving:
            return
        before = None if seat.live or seat.report is None else seat.report.promise
        if before is not None and (report.promise is None or report.promise.counted_s < before.counted_s):
            report = replace(report, promise=before)
        seat.report = report

    def end_event(self, seat: Seat) -> None:
        """End the open event of a camera that no engine watches any more, if there is one."""
        last, seat.open = seat.open, None
        if last is None or seat.report is None:
            return
        event = replace(last.event, phase=Phase.END, ended_s=max(seat.told_s, last.event.started_s))
        end = replace(last, event=event, ended_at=time.time(), read_at=self._clock(), traits=None)
        seat.seq += 1  # for the next engine: this step is taken
        for sink in self._sinks:
            sink.alert(end, seat.report)

    def forget(self, seat: Seat) -> None:
        """A camera that no engine watches leaves the run."""
        self.end_event(seat)
        self._seats.remove(seat.name)
        for sink in self._sinks:
            sink.removed(seat.name)

    def moves(self, seat: Seat) -> None:
        """A camera is about to change its engine: nobody watches it for some seconds."""
        seat.moving = True
        if seat.report is not None:
            detail = "it moves to an engine that has less work"
            self.tell_health(
                seat, replace(seat.report, state=CameraState.CONNECTING, since=self._clock(), detail=detail)
            )

    def tell_health(self, seat: Seat, report: CameraReport) -> None:
        """Tell a camera's new state."""
        seat.report = report
        for sink in self._sinks:
            sink.health(report)

    def close_events(self) -> None:
        """End the events of cameras that no engine watches any more."""
        for seat in self._seats:
            if seat.open is not None and seat.report is not None:
                self.end_event(seat)
