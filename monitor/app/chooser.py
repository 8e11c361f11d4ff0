"""Serves requests for a camera's budget and arming, and applies them while its stream stays open."""

from __future__ import annotations

import logging
from collections.abc import Callable

from monitor.alerts.control import Arm, Budget
from monitor.alerts.control_desk import Asker, Desk, Done, Steps
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.planning import bands_at, watching
from monitor.errors import UsageError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.drift import ModelBands
from monitor.live.fleet import Fleet, Member
from monitor.model.model_store import Model
from monitor.text.wording import counted, listed
from monitor.threads.stage import Stage
from monitor.threads.switching import quick_switching

log = logging.getLogger("monitor")


class Chooser:
    """Main thread only. ``tick`` applies a budget as soon as the bands of drift are computed, in a thread.

    current  the present settings of the run
    changed  called when a camera is judged with another budget
    what_if  says what another budget would have changed; None: this run cannot say
    """

    def __init__(
        self,
        store: ChoiceStore,
        fleet: Fleet,
        current: Callable[[], MonitorConfig],
        changed: Callable[[], None] = lambda: None,
        what_if: Callable[[Member, float], Steps] | None = None,
    ) -> None:
        self._what_if = what_if
        self._store, self._fleet, self._current, self._changed = store, fleet, current, changed
        self._stage: Stage | None = None
        self._computing: tuple[str, Model, float] | None = None
        self._bands: ModelBands | None = None
        self._failed: set[tuple[str, float]] = set()

    def serve_at(self, desk: Desk) -> None:
        """Answer these requests from now on."""
        desk.serve(Budget, self._budget)
        desk.serve(Arm, self._arm)

    def tick(self) -> None:
        """Give cameras the budget that was chosen for them. Called by the main loop."""
        if self._stage is not None:
            if self._stage.alive:
                return
            self._finish(self._stage.error)
            self._stage = None
        settings = self._current()
        for member in self._fleet:
            budget = settings.budget_of(member.name)
            if _budget_of(member) not in (None, budget) and (member.name, budget) not in self._failed:
                self._begin(member, budget)
                return

    def forget(self, camera: str) -> None:
        """Undo what was chosen for a camera: everything is as the config says. Raises RunError."""
        self._store.choose(camera, self._store.of(camera).forgotten())
        self._failed.clear()
        member = self._fleet.get(camera)
        if member is not None:
            self._fleet.replace(watching(member.camera, self._current(), member.camera.model, member.monitor))

    def _begin(self, member: Member, budget: float) -> None:
        """Compute in a thread what takes long: a model of days has bands of seconds."""
        monitor, model = member.monitor, member.camera.model
        assert monitor is not None
        scale, own = monitor.calibration.first.with_budget(budget), self._current().of_camera(member.name)
        self._computing, self._bands = (member.name, model, budget), None

        def compute() -> None:
            with quick_switching():  # cameras are watched meanwhile
                self._bands = bands_at(model, own, scale)

        self._stage = Stage("budget", compute, lambda _: None)
        self._stage.start()

    def _finish(self, error: BaseException | None) -> None:
        assert self._computing is not None
        name, model, budget = self._computing
        member, settings = self._fleet.get(name), self._current()
        if self._bands is None:
            self._failed.add((name, budget))
            log.error("%s: its budget cannot be changed before a restart (%s)", name, error)
            return
        if member is None or member.camera.model is not model or settings.budget_of(name) != budget:
            return  # it has changed meanwhile: the next tick begins anew if it must
        before = member.monitor
        if before is None or before.scale.false_alarms_per_day == budget:
            return
        calibration = before.calibration.copy(before.calibration.first.with_budget(budget))
        calibration.calibrate(before.calibration.earned)
        scale, drift = calibration.scale, self._bands.watch()
        monitor = CameraMonitor(name, scale, before.smoothing, before.settings, drift, calibration)
        monitor.prototypes = before.prototypes
        self._fleet.replace(watching(member.camera, settings, model, monitor))
        self._changed()

    def _budget(self, request: Budget, _: Asker) -> Done | Steps:
        member, settings = self._member(request.camera), self._current()
        name = member.name
        fixed = settings.fixed_budget(name)
        if fixed is not None:
            raise UsageError(
                f"the config file sets the budget of {name} to {_per_day(fixed)}: change false_alarms_per_day of that "
                "camera there, or remove it there to set the budget from here"
            )
        if request.preview:
            if self._what_if is None:
                raise UsageError("this run keeps no events to try another budget on: set it untried")
            return self._what_if(member, settings.false_alarms_per_day if request.per_day is None else request.per_day)
        self._store.choose(name, self._store.of(name).but(per_day=request.per_day))
        self._failed.clear()
        budget = settings.budget_of(name)
        how = ", as the config says" if request.per_day is None else ""
        later = "" if member.monitor is not None else "; it holds once the camera has learned"
        said = f"{name}: the budget is {_per_day(budget)} from now on{how}{later}"
        return Done(said, {"camera": name, "per_day": budget})

    def _arm(self, request: Arm, _: Asker) -> Done:
        member, settings = self._member(request.camera), self._current()
        name = member.name
        self._store.choose(name, self._store.of(name).but(armed=request.armed))
        self._fleet.replace(watching(member.camera, settings, member.camera.model, member.monitor))
        if not request.armed:
            how = "disarmed: its events are recorded from now on, and notify nobody; if it is lost, it still notifies"
        elif settings.schedule_of(name).schedule is not None:
            how = "armed, in the times of its schedule"
        else:
            how = "armed: its alerts are raised"
        return Done(f"{name} is {how}", {"camera": name, "armed": request.armed})

    def _member(self, camera: str) -> Member:
        member = self._fleet.get(camera)
        if member is None:
            known = sorted(each.name for each in self._fleet)
            there = f"cameras: {listed(known, 10)}" if known else "none is watched"
            raise UsageError(f"no camera {camera} is watched ({there}): give the name of one that is")
        return member


def _budget_of(member: Member) -> float | None:
    return None if member.monitor is None else member.monitor.scale.false_alarms_per_day


def _per_day(budget: float) -> str:
    return f"{counted(budget, 'false alarm')} per day"
