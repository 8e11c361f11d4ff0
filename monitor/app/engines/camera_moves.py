"""Moves cameras from an engine that is overloaded to one that is not, and carries out reloads. Main thread only.

A camera that moves is not watched for some seconds: its engine ends its open event and writes what it has learned; only
then, the other engine opens it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from monitor.app.config import MonitorConfig
from monitor.app.engines.balance import Move, move_wanted, spread
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import Applied, Plan, Ready, Refused
from monitor.app.engines.front import Front
from monitor.app.engines.plan_round import PlanRound, RoundState
from monitor.app.engines.seats import Seat
from monitor.errors import MonitorError
from monitor.states import CameraState

log = logging.getLogger("monitor")

LOOK_S = 30.0
"""The load of the engines is measured over this time, seconds. At most one camera moves in it."""

Reloaded = Callable[[Sequence[Applied], MonitorError | None], None]


class CameraMoves:
    """Starts one change at a time, of the cameras of several engines. ``tick`` goes on.

    settings  the present settings of the run
    """

    def __init__(
        self,
        front: Front,
        settings: MonitorConfig,
        send: Callable[[int, object], None],
        clock: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
    ) -> None:
        self._front, self._send, self._clock, self._look_s = front, send, clock, look_s
        self.settings = settings
        self._numbers = 0
        self._round: PlanRound | None = None
        self._move: Move | None = None
        self._reloading: tuple[MonitorConfig, Mapping[str, CarriedSource], Reloaded] | None = None
        self._joining: list[Seat] = []
        self._wanted_before: dict[Seat, bool] = {}
        self._next_at = clock() + look_s
        front.told_plan = self._told
        front.left = self._left

    @property
    def busy(self) -> bool:
        """Whether a change is under way, or an engine starts."""
        return self._round is not None or self._move is not None or self._front.starting

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras of the run, in the order of the config."""
        return [seat.name for seat in self._front.seats]

    def reload(self, settings: MonitorConfig, sources: Sequence[CarriedSource], done: Reloaded) -> None:
        """Watch these sources with these settings: all engines take their part, or none does. Not while ``busy``.

        done: called with what the engines have done, or with the error for which all is as before
        """
        seats = self._front.seats
        wanted = {carried.inner.name: carried for carried in sources}
        running = self._front.running
        parts: dict[int, list[CarriedSource]] = {engine: [] for engine in running}
        new: list[CarriedSource] = []
        for name, carried in wanted.items():
            seat = seats.get(name)
            if seat is None:
                new.append(carried)
            elif seat.engine in parts:
                parts[seat.engine].append(carried)
        self._wanted_before = {seat: seat.wanted for seat in seats}
        for seat in seats:
            seat.wanted = seat.name in wanted
        self._reloading = settings, wanted, done
        if not running:
            self._finish_reload(())
            self._open(new)
            return
        loads = {engine: float(len(parts[engine])) for engine in running}
        placed = spread([carried.inner.name for carried in new], running, loads)
        self._joining = []
        for carried in new:
            parts[placed[carried.inner.name]].append(carried)
            seat = seats.add(carried)
            self._joining.append(seat)
        self._begin(settings, parts, {carried.inner.name: placed[carried.inner.name] for carried in new})

    def tick(self) -> None:
        """Look whether a camera should move."""
        if self._clock() < self._next_at or self.busy:
            return
        self._next_at = self._clock() + self._look_s
        seats = self._front.seats
        running = self._front.running
        loads = self._front.loads.measure({engine: [seat.name for seat in seats.of(engine)] for engine in running})
        movable = {seat.name for seat in seats if seat.live and _is_steady(seat)}
        if (move := move_wanted(loads, movable)) is not None:
            self.move(move)

    def move(self, move: Move) -> None:
        """Move a camera. Not while ``busy``."""
        seat = self._front.seats.get(move.camera)
        assert seat is not None
        log.info("%s: moves from engine %d to engine %d, which has less work", move.camera, move.source, move.target)
        self._move = move
        self._front.telling.moves(seat)
        rest = [each.carried for each in self._front.seats.of(move.source) if each is not seat]
        self._begin(self.settings, {move.source: rest}, {}, moves=True)

    def _begin(
        self,
        settings: MonitorConfig,
        parts: Mapping[int, Sequence[CarriedSource]],
        placed: Mapping[str, int],
        *,
        moves: bool = False,
    ) -> None:
        self._numbers += 1
        seats = self._front.seats
        plans = {}
        for engine, sources in parts.items():
            leases = []
            for carried in sources:
                seat = seats.get(carried.inner.name)
                assert seat is not None
                new = placed.get(seat.name) == engine
                leases.append(seats.place(seat, engine) if new else seats.lease_of(seat))
            plans[engine] = Plan(self._numbers, settings, sources, leases, moves)
        self._round = PlanRound(plans, self._send)
        self._look()

    def _told(self, engine: int, message: Ready | Refused | Applied | None) -> None:
        if self._round is None:
            if message is None and self._move is not None and self._move.source == engine:
                self._give_up(self._move)  # its camera was about to leave: the front looks after it
            return
        if message is None:
            self._round.lost(engine)
        else:
            self._round.take(engine, message)
        self._look()

    def _look(self) -> None:
        """Go on if the round is over."""
        done = self._round
        if done is None or done.state not in (RoundState.DONE, RoundState.REFUSED):
            return
        self._round = None
        if self._reloading is not None:
            self._finish_reload(list(done.applied.values()), done.error if done.state is RoundState.REFUSED else None)
        elif self._move is not None:
            self._go_on(self._move, done)

    def _give_up(self, move: Move) -> None:
        self._move = None
        if (seat := self._front.seats.get(move.camera)) is not None:
            seat.moving = False

    def _finish_reload(self, applied: Sequence[Applied], error: MonitorError | None = None) -> None:
        assert self._reloading is not None
        settings, wanted, done = self._reloading
        self._reloading = None
        joining, self._joining = self._joining, []
        if error is None:
            self.settings = settings
            for seat in self._front.seats:
                if seat.name in wanted:
                    seat.carried, seat.leaving = wanted[seat.name], False
                elif seat.engine not in self._front.running:  # its engine is gone, so nobody else says it
                    self._front.telling.forget(seat)
                else:
                    seat.leaving = True
        else:
            for seat in joining:
                self._front.seats.remove(seat.name)
            for seat, before in self._wanted_before.items():
                seat.wanted = before
        done(applied, error)

    def _open(self, sources: Sequence[CarriedSource]) -> None:
        if sources:
            self._front.start_for([self._front.seats.add(carried) for carried in sources])

    def _go_on(self, move: Move, done: PlanRound) -> None:
        seat = self._front.seats.get(move.camera)
        if seat is None or not seat.moving:
            self._move = None
            return
        if done.state is RoundState.REFUSED and move.source in done.plans:
            log.warning("%s: stays where it is: %s", move.camera, done.error)
            self._give_up(move)
        elif move.source in done.plans:
            if seat.engine is None:  # it has left already
                self._left(seat)
            elif move.source not in self._front.running:
                self._give_up(move)  # its engine ended: the front looks after its cameras
        else:
            self._give_up(move)
            if done.state is RoundState.REFUSED or not done.applied:
                seat.engine = None
                self._front.start_for([seat])

    def _left(self, seat: Seat) -> None:
        """The camera is free: the other engine takes it. If that has ended meanwhile, a new one does."""
        move = self._move
        if move is None or self._round is not None:
            return
        if move.target not in self._front.running:
            self._give_up(move)
            self._front.start_for([seat])
            return
        sources = [each.carried for each in self._front.seats.of(move.target)] + [seat.carried]
        self._begin(self.settings, {move.target: sources}, {seat.name: move.target}, moves=True)


def _is_steady(seat: Seat) -> bool:
    """Whether a camera may move: it is watched, and neither learns nor has an alarm."""
    report = seat.report
    return (
        report is not None
        and report.progress is None
        and not report.alarmed
        and report.state is not CameraState.LEARNING
    )
