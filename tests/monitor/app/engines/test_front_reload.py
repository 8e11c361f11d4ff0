"""A reload of a run with engines is told as with one process, whichever engine is first."""

from __future__ import annotations

import logging

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.engines.engine_messages import Applied, Plan, Ready
from monitor.app.engines.front_reload import FrontReload
from monitor.testing.captured import eventually
from monitor.testing.fakes import LevelSource
from tests.helpers.bright_events import CALM
from tests.monitor.app.engines.test_camera_moves import Moving


def reloaded(lab: Moving, reload: FrontReload) -> dict[int, Plan]:
    """Ask for a reload, and tick until all engines have their plans."""
    reload.requested.set()

    def planned() -> bool:
        reload.tick(lab.moves)
        return bool(lab.plans(1) and lab.plans(2))

    assert eventually(planned)
    return {engine: lab.plans(engine)[-1] for engine in (1, 2)}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_cameras_are_told_in_the_order_of_the_config(order: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lab = Moving()
    wanted = [LevelSource(name, [CALM]) for name in "bcdefg"]
    reload = FrontReload(None, lambda: (MonitorConfig(), wanted), follow=False)
    plans = reloaded(lab, reload)
    new = {
        engine: tuple(each.inner.name for each in plan.sources if each.inner.name in "efg")
        for engine, plan in plans.items()
    }
    done = {1: (new[1], ("a",), ("c",)), 2: (new[2], (), ("b", "d"))}
    for engine in order:
        lab.say(engine, Ready(plans[engine].number))
    caplog.clear()
    for engine in order:
        lab.say(engine, Applied(plans[engine].number, *done[engine], 0, ""))
    said = "models read again: added e, f, g, removed a, changed b, c, d; unchanged: 0"
    assert [line.getMessage() for line in caplog.records] == [said]
