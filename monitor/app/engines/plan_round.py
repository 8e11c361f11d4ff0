"""One change of the cameras of several engines: all engines carry out their plans, or none does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto

from monitor.app.engines.engine_messages import Applied, Decided, Plan, Ready, Refused
from monitor.errors import MonitorError, RunError


class RoundState(Enum):
    """How far a round is."""

    PREPARING = auto()
    APPLYING = auto()
    DONE = auto()
    REFUSED = auto()


class PlanRound:
    """Sends the plans; ``take`` gets what the engines say.

    plans  engine -> its plan; all have one number
    error  why it was refused
    """

    def __init__(self, plans: Mapping[int, Plan], send: Callable[[int, object], None]) -> None:
        self._send = send
        self.plans = dict(plans)
        self.state = RoundState.PREPARING
        self.error: MonitorError | None = None
        self.applied: dict[int, Applied] = {}
        self._ready: set[int] = set()
        self._lost: set[int] = set()
        for engine, plan in plans.items():
            send(engine, plan)
        self._go_on()

    def take(self, engine: int, message: Ready | Refused | Applied) -> None:
        """An engine has answered. Answers to another plan are ignored."""
        plan = self.plans.get(engine)
        if plan is None or message.number != plan.number:
            return
        if isinstance(message, Ready):
            self._ready.add(engine)
        elif isinstance(message, Refused) and self.state is RoundState.PREPARING:
            self._refuse(message.error)
        elif isinstance(message, Refused):  # it was ready, but its cameras have changed meanwhile
            self._lost.add(engine)
            self.error = message.error
        else:
            self.applied[engine] = message
        self._go_on()

    def lost(self, engine: int) -> None:
        """An engine has ended. Once the plans are being carried out, its successor begins with its part."""
        if engine not in self.plans:
            return
        if self.state is RoundState.PREPARING:
            self._refuse(RunError("one of the engines ended meanwhile: try again"))
        self._lost.add(engine)
        self._go_on()

    def _refuse(self, error: MonitorError) -> None:
        self.state, self.error = RoundState.REFUSED, error
        for engine, plan in self.plans.items():
            self._send(engine, Decided(plan.number, carry_out=False))

    def _go_on(self) -> None:
        if self.state is RoundState.PREPARING and self._ready >= self.plans.keys():
            self.state = RoundState.APPLYING
            for engine, plan in self.plans.items():
                self._send(engine, Decided(plan.number, carry_out=True))
        if self.state is RoundState.APPLYING and self.applied.keys() | self._lost >= self.plans.keys():
            self.state = RoundState.DONE
