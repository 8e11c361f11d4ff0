"""Serves requests for a camera's budget and arming. A ``Chooser`` then gives the budget to the camera."""

from __future__ import annotations

from collections.abc import Callable

from monitor.alerts.control import Arm, Budget
from monitor.alerts.control_desk import Asker, Desk, Done, Steps
from monitor.app.changed_run import ChangedRun
from monitor.errors import UsageError
from monitor.text.wording import counted

WhatIf = Callable[[str, float], Done | Steps]
"""Says which alarms of the last days another budget of a camera would have changed. Raises MonitorError."""


class Choosing:
    """Main thread only.

    what_if  None: this run cannot say what another budget would have changed
    chosen   called after each choice
    """

    def __init__(
        self, run: ChangedRun, what_if: WhatIf | None = None, chosen: Callable[[], None] = lambda: None
    ) -> None:
        self._run, self._what_if, self._chosen = run, what_if, chosen

    def serve_at(self, desk: Desk) -> None:
        """Answer these requests from now on."""
        desk.serve(Budget, self._budget)
        desk.serve(Arm, self._arm)

    def forget(self, camera: str) -> Done | Steps:
        """Undo what was chosen for a camera: everything is as the config says. Raises RunError."""
        self._run.store.choose(camera, self._run.store.of(camera).forgotten())
        self._chosen()
        return self._run.cameras.renewed(camera, Done(""))

    def _budget(self, request: Budget, _: Asker) -> Done | Steps:
        camera, settings = self._run.camera(request.camera), self._run.settings()
        name = camera.name
        fixed = settings.fixed_budget(name)
        if fixed is not None:
            raise UsageError(
                f"the config file sets the budget of {name} to {_per_day(fixed)}: change false_alarms_per_day of that "
                "camera there, or remove it there to set the budget from here"
            )
        if request.preview:
            if self._what_if is None:
                raise UsageError("this run keeps no events to try another budget on: set it untried")
            return self._what_if(name, settings.false_alarms_per_day if request.per_day is None else request.per_day)
        self._run.store.choose(name, self._run.store.of(name).but(per_day=request.per_day))
        self._chosen()
        budget = settings.budget_of(name)
        how = ", as the config says" if request.per_day is None else ""
        later = "" if camera.model else "; it holds once the camera has learned"
        said = f"{name}: the budget is {_per_day(budget)} from now on{how}{later}"
        return self._run.cameras.renewed(name, Done(said, {"camera": name, "per_day": budget}))

    def _arm(self, request: Arm, _: Asker) -> Done | Steps:
        name, settings = self._run.camera(request.camera).name, self._run.settings()
        self._run.store.choose(name, self._run.store.of(name).but(armed=request.armed))
        if not request.armed:
            how = "disarmed: its events are recorded from now on, and notify nobody; if it is lost, it still notifies"
        elif settings.schedule_of(name).schedule is not None:
            how = "armed, in the times of its schedule"
        else:
            how = "armed: its alerts are raised"
        done = Done(f"{name} is {how}", {"camera": name, "armed": request.armed})
        return self._run.cameras.renewed(name, done)


def _per_day(budget: float) -> str:
    return f"{counted(budget, 'false alarm')} per day"
