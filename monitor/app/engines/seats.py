"""The cameras of a run with engines: who watches each, and what has been told of it. So each step counts once.

A live camera of an engine that ended goes on in another one, with the next step of its events. A file begins anew: it
gives the same steps again, and those that are known already are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from monitor.app.engines.carried_alerts import CarriedAlert
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import Facts, Lease, Step
from monitor.judging.fusion import ModelScale
from monitor.reports import CameraReport
from monitor.states import CameraState

OVER = (CameraState.ENDED, CameraState.FAILED)
Counted = Sequence[tuple[float, int, float]]


@dataclass(slots=True, eq=False)
class Seat:
    """A camera.

    engine   that watches it; None while none does
    epoch    of its present lease
    seq      steps of its events that are taken; events: number of its last event
    told_s   stream time of its last score that was told; a file that begins anew is silent until then
    counted  what was counted of its alarms before its present lease
    open     the last step of its open event; None without one
    done     whether every frame is judged and told, because its source has ended
    wanted   whether the last reload has it, also one that is not carried out yet
    leaving  whether a reload has removed it; its engine still writes what it knows of it
    facts    what requests need to know of it; None: not known at the moment
    """

    carried: CarriedSource
    counted: Counted = ()
    engine: int | None = None
    epoch: int = 0
    seq: int = 0
    events: int = 0
    told_s: float = -math.inf
    again: bool = False
    scale: ModelScale | None = None
    report: CameraReport | None = None
    open: CarriedAlert | None = None
    moving: bool = False
    done: bool = False
    wanted: bool = True
    leaving: bool = False
    facts: Facts | None = None
    first_counted: Counted = field(default=())

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.carried.inner.name

    @property
    def live(self) -> bool:
        """Whether it is a camera, and no file."""
        return self.carried.inner.live

    @property
    def over(self) -> bool:
        """Whether nothing more comes from it. A file may have ended while its last frames are still to be judged."""
        return self.done and self.report is not None and self.report.state in OVER


class Seats:
    """Camera name -> seat, in the order of the config."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}
        self._epochs = 0

    def __iter__(self) -> Iterator[Seat]:
        return iter(tuple(self._seats.values()))

    def __len__(self) -> int:
        return len(self._seats)

    def get(self, camera: str) -> Seat | None:
        """The seat of a camera; None if it is not in the run."""
        return self._seats.get(camera)

    def add(self, carried: CarriedSource, counted: Counted = ()) -> Seat:
        """A camera joins the run."""
        seat = self._seats[carried.inner.name] = Seat(carried, counted, first_counted=counted)
        return seat

    def remove(self, camera: str) -> None:
        """A camera leaves the run."""
        self._seats.pop(camera, None)

    def of(self, engine: int) -> list[Seat]:
        """The cameras of an engine."""
        return [seat for seat in self if seat.engine == engine]

    def place(self, seat: Seat, engine: int) -> Lease:
        """Lease a camera to an engine: only what that engine sends of it counts from now on."""
        self._epochs += 1
        seat.done, seat.facts = False, None
        seat.again = not seat.live and (seat.seq > 0 or seat.told_s > -math.inf)
        seat.engine, seat.epoch = engine, self._epochs
        if seat.live:
            return Lease(seat.name, seat.epoch, seat.seq, seat.events, tuple(seat.counted))
        return Lease(seat.name, seat.epoch, 0, 0, tuple(seat.first_counted))

    def lease_of(self, seat: Seat) -> Lease:
        """The present lease of a camera, for a plan of the engine that watches it already."""
        return Lease(seat.name, seat.epoch, seat.seq, seat.events)

    def of_engine(self, engine: int, camera: str) -> Seat | None:
        """The seat of a camera if this engine watches it; None if what the engine says of it does not count."""
        seat = self._seats.get(camera)
        return seat if seat is not None and seat.engine == engine else None

    def accept(self, engine: int, step: Step) -> Seat | None:
        """The seat whose next step this is; None if it is known already, or of an engine that has lost the camera."""
        seat = self.of_engine(engine, step.camera)
        if seat is None or step.epoch != seat.epoch or step.seq <= seat.seq:
            return None
        seat.seq, seat.events = step.seq, max(seat.events, step.alert.event.number)
        return seat

    def is_told(self, seat: Seat, time_s: float) -> bool:
        """Whether the score of a frame was told before its file began anew; notes it if not."""
        if seat.again and time_s <= seat.told_s:
            return True
        seat.again = False
        seat.told_s = time_s
        return False
