"""Gives cameras the budgets that were chosen for them, while their streams stay open."""

from __future__ import annotations

import logging
from collections.abc import Callable

from monitor.app.config import MonitorConfig
from monitor.app.planning import bands_at, watching
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.drift import ModelBands
from monitor.live.fleet import Fleet, Member
from monitor.model.model_store import Model
from monitor.threads.stage import Stage
from monitor.threads.switching import quick_switching

log = logging.getLogger("monitor")


class Chooser:
    """Main thread only. ``tick`` applies a budget as soon as the bands of drift are computed, in a thread.

    current  the present settings of the run
    changed  called when a camera is judged with another budget
    """

    def __init__(
        self,
        fleet: Fleet,
        current: Callable[[], MonitorConfig],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._fleet, self._current, self._changed = fleet, current, changed
        self._stage: Stage | None = None
        self._computing: tuple[str, Model, float] | None = None
        self._bands: ModelBands | None = None
        self._failed: set[tuple[str, float]] = set()

    def chosen(self) -> None:
        """Somebody has chosen: try again what has failed before."""
        self._failed.clear()

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


def _budget_of(member: Member) -> float | None:
    return None if member.monitor is None else member.monitor.scale.false_alarms_per_day
