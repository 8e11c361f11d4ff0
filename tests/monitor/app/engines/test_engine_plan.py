"""A plan is carried out as it was told, with what people have chosen until then."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.app.config import MonitorConfig
from monitor.app.engines.engine_messages import Applied, Plan, Ready, Refused
from monitor.app.engines.engine_plan import EnginePlans
from monitor.errors import ModelError
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.testing.captured import eventually
from monitor.testing.fakes import LevelSource, watched_by
from tests.helpers.teachable import teachable_model


class Engine:
    """An engine without cameras. prepared: number of times that a plan was prepared."""

    def __init__(self) -> None:
        self.fleet = Fleet(Pipeline())
        self.prepared = 0
        self.broken = False
        self.plans = EnginePlans(self.fleet, self._prepare, lambda _, settings: settings)

    def _prepare(self, plan: Plan) -> tuple[MonitorConfig, Sequence[Camera]]:
        self.prepared += 1
        if self.broken:
            raise ModelError("the model is damaged: learn again")
        return plan.settings, [watched_by(LevelSource("door", []), teachable_model())]

    def says(self) -> Ready | Refused | Applied:
        found: list[Ready | Refused | Applied] = []

        def told() -> bool:
            found.extend(message for message in [self.plans.tick()] if message is not None)
            return bool(found)

        assert eventually(told)
        return found[0]


def test_a_plan_is_prepared_again_if_somebody_has_chosen_something_meanwhile() -> None:
    engine = Engine()
    engine.plans.take(Plan(3, MonitorConfig(), (), ()))
    assert engine.says() == Ready(3)
    assert engine.prepared == 1
    engine.plans.outdated()
    engine.plans.decided(3, carry_out=True)
    told = engine.says()
    assert isinstance(told, Applied)
    assert told.added == ("door",)
    assert engine.prepared == 2


def test_a_plan_that_is_refused_or_dropped_changes_nothing() -> None:
    engine = Engine()
    engine.plans.take(Plan(3, MonitorConfig(), (), ()))
    assert engine.says() == Ready(3)
    engine.plans.decided(2, carry_out=True)  # of another plan
    assert engine.plans.tick() is None
    engine.plans.decided(3, carry_out=False)
    assert engine.plans.tick() is None
    engine.broken = True
    engine.plans.take(Plan(4, MonitorConfig(), (), ()))
    told = engine.says()
    assert isinstance(told, Refused)
    assert "damaged" in str(told.error)
    assert not len(engine.fleet)
