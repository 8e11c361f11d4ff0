"""The plans of an engine: each is prepared in a thread, reported as ready or refused, and carried out when told so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.app.choice_store import ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.engines.engine_messages import Applied, Plan, Ready, Refused
from monitor.app.own_model import Relearning
from monitor.app.planning import plan_cameras
from monitor.app.reload import exchange, warm_up_new
from monitor.errors import MonitorError, RunError
from monitor.live.fleet import Camera, Fleet
from monitor.text.redaction import redact
from monitor.threads.stage import Stage
from monitor.threads.switching import quick_switching


@dataclass(frozen=True, eq=False)
class _Prepared:
    plan: Plan
    settings: MonitorConfig
    cameras: Sequence[Camera]
    changes: tuple[int, int]  # of the fleet and of the choices, when the plan was begun


def planned(
    plan: Plan,
    choices: ChoiceStore,
    max_frames: int | None,
    relearning: Relearning,
    present: Fleet | None = None,
) -> tuple[MonitorConfig, list[Camera]]:
    """The cameras of a plan, with their models loaded. Events of a new camera are numbered on from its lease.

    Raises MonitorError if a model cannot be used.
    """
    settings = plan.settings.with_choices(choices)
    sources = [carried.source for carried in plan.sources]
    cameras = plan_cameras(sources, settings, max_frames, relearning)
    leases = {lease.camera: lease for lease in plan.leases}
    for camera in cameras:
        if camera.monitor is not None and (present is None or present.get(camera.name) is None):
            camera.monitor.count_from(leases[camera.name].events)
    return settings, cameras


class EnginePlans:
    """Main thread only. ``tick`` goes on; it may change the fleet.

    prepare  loads the cameras of a plan; called in a thread of its own
    begin    called before the cameras of a plan are exchanged, with its new settings; returns the ones before
    """

    def __init__(
        self,
        fleet: Fleet,
        prepare: Callable[[Plan], tuple[MonitorConfig, Sequence[Camera]]],
        begin: Callable[[Plan, MonitorConfig], MonitorConfig],
    ) -> None:
        self._fleet, self._prepare, self._begin = fleet, prepare, begin
        self._stage: Stage | None = None
        self._wanted: Plan | None = None
        self._prepared: _Prepared | None = None
        self._promised = self._permitted = False
        self._choices = 0

    def outdated(self) -> None:
        """What people have chosen has changed: a plan that is prepared does not know it."""
        self._choices += 1

    @property
    def _changes(self) -> tuple[int, int]:
        return self._fleet.changes, self._choices

    def take(self, plan: Plan) -> None:
        """Prepare a plan. It replaces one that was not carried out."""
        self._wanted, self._promised, self._permitted = plan, False, False

    def decided(self, number: int, *, carry_out: bool) -> None:
        """Carry the plan out as soon as it is prepared, or forget it."""
        if self._wanted is None or self._wanted.number != number:
            return
        if carry_out:
            self._permitted = True
        else:
            self._wanted = None

    def tick(self) -> Ready | Refused | Applied | None:
        """Go on. Returns what to tell the run."""
        if self._stage is not None:
            if self._stage.alive:
                return None
            error, self._stage = self._stage.error, None
            if error is not None and self._wanted is not None:
                refused, self._wanted = self._wanted, None
                what = redact(f"{type(error).__name__}: {error}")
                return Refused(refused.number, error if isinstance(error, MonitorError) else RunError(what))
        plan, ready = self._wanted, self._prepared
        if plan is None:
            return None
        if ready is None or ready.plan is not plan or ready.changes != self._changes:
            self._start(plan)  # also if a camera has learned meanwhile, which the plan does not know
            return None
        if not self._promised:
            self._promised = True
            return Ready(plan.number)
        return self._carry_out(ready) if self._permitted else None

    def _start(self, plan: Plan) -> None:
        changes = self._changes

        def read() -> None:
            with quick_switching():  # cameras are watched meanwhile
                settings, cameras = self._prepare(plan)
                warm_up_new(cameras, self._fleet)
            self._prepared = _Prepared(plan, settings, cameras, changes)

        self._stage = Stage("plan", read, lambda _: None)
        self._stage.start()

    def _carry_out(self, ready: _Prepared) -> Applied:
        self._wanted = self._prepared = None
        before = self._begin(ready.plan, ready.settings)
        found = exchange(self._fleet, before, ready.settings, ready.cameras)
        return Applied(ready.plan.number, found.added, found.removed, found.changed, found.unchanged, found.changes)
