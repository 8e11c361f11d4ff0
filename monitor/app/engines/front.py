"""The run's side of its engines: it takes what they tell, gives it to the run's sinks, and starts engines again.

To the sinks it is as if one process watched all cameras: they hear the same, in the same order per camera.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.app.engines.balance import Loads, spread
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import (
    Answer,
    Applied,
    Call,
    Facts,
    Finished,
    HealthTold,
    Joined,
    Lease,
    Left,
    LogLine,
    MomentTold,
    PreviewTold,
    Ready,
    Refused,
    Removed,
    Replied,
    Scale,
    Scores,
    Step,
    Tick,
)
from monitor.app.engines.far_stores import OFFERED
from monitor.app.engines.front_telling import FrontTelling
from monitor.app.engines.placement import Ended, Placement
from monitor.app.engines.seats import Counted, Seat, Seats
from monitor.errors import MonitorError, RunError
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.text.wording import counted

log = logging.getLogger("monitor")

AGAIN_S, LONGEST_AGAIN_S = 1.0, 60.0
"""The cameras of an engine that ended get another one at once; if that ends soon, after the first value, then twice as
long each time, up to the second."""
SOON_S = 60.0
SILENT_S, LONGEST_SILENT_S = 5.0, 60.0
"""Engines tell ten times per second that they run. One that is silent for the first time is observed for as long again,
and killed if it does nothing, as one that is stopped or hangs; one that watches is killed after the second time at the
latest."""
MOST_CRASHES = 5
"""Engines that end soon, one after the other: then a run of files has failed."""


@dataclass(slots=True, eq=False)
class _Engine:
    started_at: float
    crashes: int  # of the engines before it that ended soon
    heard_at: float
    observed_at: float | None = None  # since when it has been silent and observed
    ready: bool = False
    finished: Finished | None = None
    refused: MonitorError | None = None
    tick: Tick | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Cameras that wait for another engine."""

    at: float
    cameras: tuple[str, ...]
    crashes: int


class Front:
    """Main thread only.

    begin      starts an engine: (number, sources, leases, whether it takes the place of another)
    sinks      of the run
    stores     name -> a store whose methods engines may call
    moment     publishes a moment
    restarted  called when the counting of a camera's alarms begins anew
    """

    def __init__(
        self,
        placement: Placement,
        begin: Callable[[int, Sequence[CarriedSource], Sequence[Lease], bool], None],
        sinks: Sequence[Sink],
        stores: Mapping[str, object],
        *,
        moment: Callable[[str, Mapping[str, Any], bytes | None], object] = lambda *_: None,
        restarted: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._placement, self._begin, self._sinks, self._stores = placement, begin, sinks, stores
        self._moment, self._clock = moment, clock
        self.seats = Seats()
        self.telling = FrontTelling(self.seats, sinks, placement.send, restarted, clock)
        self.loads = Loads()
        self.replied: Callable[[int, int, bytes | None], None] = lambda *_: None
        """Called with each reply of an engine to a client's request: the engine, the number of the request, the reply.
        Called with 0 and None for an engine that has ended."""
        self.told_plan: Callable[[int, Ready | Refused | Applied | None], None] = lambda *_: None
        """Called with what engines say about plans, and with None for an engine that has ended."""
        self.told_preview: Callable[[int, PreviewTold], None] = lambda *_: None
        """Called with each live picture of an engine."""
        self.left: Callable[[Seat], None] = lambda _: None
        """Called when a camera that is to move has left its engine."""
        self.unfinished: list[str] = []
        self._engines: dict[int, _Engine] = {}
        self._waiting: list[_Waiting] = []
        self._inbox: deque[tuple[int, object]] = deque()
        self._numbers = 0
        self._began_at = clock()
        self._stopping = False
        self._said: set[tuple[int, str]] = set()  # lines of the start, which every engine logs
        self._begun = False

    # Engines

    def start(self, sources: Sequence[CarriedSource], engines: int, counted_of: Mapping[str, Counted]) -> None:
        """Spread the cameras over so many engines and start them."""
        for carried in sources:
            self.seats.add(carried, counted_of.get(carried.inner.name, ()))
        numbers = [self._next_number() for _ in range(engines)]
        placed = spread([seat.name for seat in self.seats], numbers)
        for number in numbers:
            self._start(number, [seat for seat in self.seats if placed[seat.name] == number], 0)

    def start_for(self, seats: Sequence[Seat]) -> None:
        """Start one more engine for these cameras."""
        self._start(self._next_number(), seats, 0)

    @property
    def running(self) -> list[int]:
        """The engines that run, and have begun to watch."""
        return [number for number, engine in self._engines.items() if engine.ready and engine.finished is None]

    @property
    def starting(self) -> bool:
        """Whether an engine has not begun to watch yet: its cameras cannot be changed."""
        return not all(engine.ready for engine in self._engines.values())

    @property
    def over(self) -> bool:
        """Whether every source has ended: no engine runs, and none will."""
        return not self._engines and not self._waiting

    @property
    def begun(self) -> bool:
        """Whether every engine of the start watches, and has reported each of its cameras."""
        if not self._begun:
            self._begun = all(engine.ready for engine in self._engines.values()) and all(
                seat.report is not None for seat in self.seats
            )
            self._began_at = self._clock()
        return self._begun

    @property
    def lost_evidence(self) -> int:
        """Files of evidence that were lost."""
        return sum(engine.tick.lost for engine in self._engines.values() if engine.tick is not None)

    @property
    def models(self) -> tuple[list[str], list[str]]:
        """The ids of all models, and the devices that they run on."""
        ticks = [engine.tick for engine in self._engines.values() if engine.tick is not None]
        return sorted({m for tick in ticks for m in tick.models}), sorted({d for tick in ticks for d in tick.devices})

    def stop(self, send: object) -> None:
        """Ask all engines to end. Those that wait to be started are not."""
        self._stopping = True
        self._waiting.clear()
        for engine in self._engines:
            self._placement.send(engine, send)

    def kill(self) -> None:
        """End those that have not ended by themselves."""
        for number in self._engines:
            log.warning("engine %d did not end in time: it is killed", number)
            self._placement.kill(number)

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _start(self, number: int, seats: Sequence[Seat], crashes: int, *, again: bool = False) -> None:
        self._engines[number] = _Engine(now := self._clock(), crashes, now)
        leases = [self.seats.place(seat, number) for seat in seats]
        self._begin(number, [seat.carried for seat in seats], leases, again)

    # What engines say

    def pump(self, timeout_s: float) -> None:
        """Take what engines have sent; wait for it at most ``timeout_s`` seconds.

        Raises the MonitorError of an engine that has failed on purpose.
        """
        self._inbox.extend(self._placement.receive(0.0 if self._inbox else timeout_s))
        while self._inbox:  # an error must not lose what came with it
            engine, message = self._inbox.popleft()
            if engine in self._engines:
                self._engines[engine].heard_at = self._clock()
            self._take(engine, message)
        self._kill_silent()

    def _kill_silent(self) -> None:
        """Kill engines that are stopped or hang: their cameras would seem to be watched."""
        now = self._clock()
        for number, engine in list(self._engines.items()):
            silent_s = now - engine.heard_at
            if silent_s < SILENT_S:
                engine.observed_at = None
            elif engine.observed_at is None:
                engine.observed_at = now
                self._placement.at_work(number)  # what it does is measured from here on
            elif now - engine.observed_at >= SILENT_S:
                engine.observed_at = now
                if not self._placement.at_work(number) or (engine.ready and silent_s >= LONGEST_SILENT_S):
                    log.error("engine %d has said nothing for %.0f s, as if stopped: it is killed", number, silent_s)
                    self._placement.kill(number)

    def _take(self, engine: int, message: object) -> None:
        if isinstance(message, Scores):
            self.telling.scores(engine, message)
        elif isinstance(message, Step):
            self.telling.step(engine, message)
        elif isinstance(message, Tick):
            self._take_tick(engine, message)
        elif isinstance(message, Scale):
            if (seat := self.seats.of_engine(engine, message.camera)) is not None:
                seat.scale = message.scale
        elif isinstance(message, Joined):
            self.telling.joined(engine, message)
        elif isinstance(message, HealthTold):
            self.telling.health(engine, message.report)
        elif isinstance(message, Removed):
            self.telling.removed(engine, message.camera)
        elif isinstance(message, Left):
            self._take_left(engine, message)
        elif isinstance(message, MomentTold):
            self._moment(message.camera, message.body, message.jpeg)
        elif isinstance(message, PreviewTold):
            self.told_preview(engine, message)
        elif isinstance(message, Facts):
            if (seat := self.seats.of_engine(engine, message.camera)) is not None:
                seat.facts = message
        elif isinstance(message, LogLine):
            self._log(message)
        elif isinstance(message, Call):
            self._placement.send(engine, self._called(message))
        elif isinstance(message, Replied):
            self.replied(engine, message.number, message.payload)
        elif isinstance(message, (Ready, Refused, Applied)):
            self._take_plan(engine, message)
        elif isinstance(message, Finished):
            self._engines[engine].finished = message
            self.unfinished += message.unfinished
        elif isinstance(message, Ended):
            self._take_end(engine, message.how)

    def _take_tick(self, engine: int, tick: Tick) -> None:
        self._engines[engine].tick = tick
        self.loads.take(tick.busy_s, self._clock())
        for report in tick.cameras:
            self.telling.report(engine, report)
        for name in tick.done:
            if (seat := self.seats.of_engine(engine, name)) is not None:
                seat.done = True

    def _take_left(self, engine: int, left: Left) -> None:
        seat = self.seats.of_engine(engine, left.camera)
        if seat is None:
            return
        seat.counted, seat.events = left.counted, max(seat.events, left.events)
        if seat.moving:
            seat.engine = seat.facts = None
            self.telling.counted_anew(seat)
            self.left(seat)
        elif not seat.wanted:
            self.seats.remove(seat.name)
        # else: another reload has brought it back, and its engine is about to watch it again

    def _take_plan(self, engine: int, message: Ready | Refused | Applied) -> None:
        state = self._engines[engine]
        if state.ready:
            self.told_plan(engine, message)
        elif isinstance(message, Ready):
            state.ready = True
        elif isinstance(message, Refused):
            if not self._begun:
                raise message.error
            state.refused = message.error

    def _take_end(self, engine: int, how: str) -> None:
        state = self._engines.pop(engine)
        self.told_plan(engine, None)
        self.replied(engine, 0, None)
        if state.finished is not None and state.finished.error is not None:
            raise state.finished.error
        if state.finished is not None or self._stopping:
            return
        how = str(state.refused or how)
        self._look_after([seat for seat in self.seats.of(engine) if not seat.over], engine, state, how)

    def _look_after(self, seats: Sequence[Seat], engine: int, state: _Engine, how: str) -> None:
        """The cameras of an engine that has crashed get another one."""
        now = self._clock()
        crashes = state.crashes + 1 if now - state.started_at < SOON_S else 1
        if not seats:
            return
        live = [seat for seat in seats if seat.live]
        if not live and crashes >= MOST_CRASHES:
            raise RunError(
                f"{counted(crashes, 'engine')} ended soon after the start, the last one by {how}: run it with "
                "--engines 1 to see why"
            )
        wait_s = 0.0 if crashes == 1 else min(LONGEST_AGAIN_S, AGAIN_S * 2 ** (crashes - 2))
        when = "at once" if not wait_s else f"in {wait_s:g} s"
        log.error(
            "engine %d ended (%s): another one watches its %s %s", engine, how, counted(len(seats), "camera"), when
        )
        self._waiting.append(_Waiting(now + wait_s, tuple(seat.name for seat in seats), crashes))
        for seat in seats:
            self.telling.interrupted(seat, how, now)

    def _log(self, line: LogLine) -> None:
        if not self._begun:
            if (line.level, line.text) in self._said:
                return  # another engine has said the same
            self._said.add((line.level, line.text))
        logging.getLogger(line.logger).log(line.level, "%s", line.text)

    def _called(self, call: Call) -> Answer:
        """Call a method of a store for an engine."""
        store = self._stores.get(call.store)
        if store is None or call.method not in OFFERED.get(call.store, ()):
            return Answer(call.number, error=RunError(f"this run has no {call.store}"))
        try:
            return Answer(call.number, getattr(store, call.method)(*call.arguments, **call.named))
        except MonitorError as error:
            return Answer(call.number, error=error)

    # The run

    def tick(self) -> RunReport:
        """Start engines that are due, and give the sinks the report of all cameras."""
        now = self._clock()
        for waiting in [waiting for waiting in self._waiting if now >= waiting.at]:
            self._waiting.remove(waiting)
            seats = [seat for name in waiting.cameras if (seat := self.seats.get(name)) is not None]
            if seats := [seat for seat in seats if seat.engine is None]:
                self._start(self._next_number(), seats, waiting.crashes, again=True)
        report = self.report()
        for sink in self._sinks:
            sink.tick(report)
        return report

    def report(self) -> RunReport:
        """The report of all cameras."""
        depth = sum(engine.tick.depth for engine in self._engines.values() if engine.tick is not None)
        cameras = tuple(seat.report for seat in self.seats if seat.report is not None and not seat.leaving)
        return RunReport(self._clock() - self._began_at, depth, cameras)
